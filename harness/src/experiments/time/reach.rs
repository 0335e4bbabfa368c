//! Where a program's port is: in the harness's own network namespace, in another, or in a virtual
//! machine.

use std::io;
use std::net::Ipv4Addr;

use isobench_container::OpenTap;
use nix::unistd::Pid;

use crate::host::accounting::InstanceGroup;
use crate::host::net_namespace::NetNamespace;

/// The place in which an instance's port is looked for.
#[derive(Debug)]
pub(super) enum Reach {
    /// The harness's own network namespace.
    Own,
    /// Another namespace, which some process of the instance is in.
    Inside {
        /// The harness's own namespace.
        own: NetNamespace,
        /// The instance's namespace, once a process is in it.
        found: Option<NetNamespace>,
    },
    /// A virtual machine.
    Guest {
        /// The machine's TAP device, once the VMM has made it.
        tap: Option<OpenTap>,
        /// Whether the machine has sent a packet. Before that, a question to the machine could get
        /// lost, and the kernel would repeat the question only after a second.
        is_up: bool,
    },
}

/// Where a port can be tried.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'p> {
    /// The address of the program.
    pub address: Ipv4Addr,
    /// The namespace of the address and the harness's own; `None` if they are the same.
    pub namespaces: Option<(&'p NetNamespace, &'p NetNamespace)>,
}

impl Place<'_> {
    /// The loopback of the harness's own namespace.
    pub const LOOPBACK: Self = Self {
        address: Ipv4Addr::LOCALHOST,
        namespaces: None,
    };
}

impl Reach {
    /// A namespace that has to be found.
    ///
    /// # Errors
    /// `/proc` isn't mounted.
    pub fn inside() -> io::Result<Self> {
        Ok(Self::Inside {
            own: NetNamespace::own()?,
            found: None,
        })
    }

    /// A virtual machine whose TAP device has to be found.
    pub fn guest() -> Self {
        Self::Guest {
            tap: None,
            is_up: false,
        }
    }

    /// Looks for the place among the processes of the instance, unless it has been found.
    pub fn look(&mut self, group: Option<&InstanceGroup>) {
        match self {
            Self::Own => {}
            Self::Inside { own, found } => {
                // A process that ends meanwhile has no namespace any more.
                let namespace = |pid| NetNamespace::of_process(pid).ok();
                if found.is_none() {
                    *found = first(group, |pid| namespace(pid).filter(|other| other != own));
                }
            }
            Self::Guest { tap, is_up } => {
                if tap.is_none() {
                    *tap = first(group, |pid| OpenTap::of_process(pid).ok().flatten());
                }
                if !*is_up && let Some(tap) = tap {
                    *is_up = tap.has_received().unwrap_or(false);
                }
            }
        }
    }

    /// Where the port can be tried; `None` if that isn't known yet.
    pub fn place(&self) -> Option<Place<'_>> {
        match self {
            Self::Own => Some(Place::LOOPBACK),
            Self::Inside { own, found } => Some(Place {
                namespaces: Some((found.as_ref()?, own)),
                ..Place::LOOPBACK
            }),
            Self::Guest { tap, is_up } => is_up.then_some(Place {
                address: tap.as_ref()?.address(),
                namespaces: None,
            }),
        }
    }
}

/// What `find` finds first among the processes of the instance.
fn first<T>(group: Option<&InstanceGroup>, find: impl FnMut(Pid) -> Option<T>) -> Option<T> {
    let processes = group.and_then(|group| group.processes().ok());
    processes.into_iter().flatten().find_map(find)
}
