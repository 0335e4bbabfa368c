//! Where a program's port is: in the harness's own network namespace, in another, or in a virtual
//! machine.

use std::io;
use std::net::Ipv4Addr;

use isobench_container::{Network, OpenTap};
use isobench_reports::model::TargetFamily;
use nix::unistd::{Pid, geteuid};

use crate::host::accounting::InstanceGroup;
use crate::host::net_namespace::NetNamespace;
use crate::targets::TargetInfo;

/// The way to a port of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The host's network, which the instance has.
    Host,
    /// The loopback of the instance's own network namespace.
    Loopback,
    /// A link to the host, which a guest has.
    Link,
}

impl Way {
    /// The way to a port of `target`, which has the network `network` or its default. `None` if
    /// isobench gives the target no network.
    pub fn to(target: &TargetInfo, network: Option<Network>) -> Option<Self> {
        match target.family {
            TargetFamily::Process => Some(Self::Host),
            TargetFamily::Container if network == Some(Network::Host) => Some(Self::Host),
            TargetFamily::Container => Some(Self::Loopback),
            TargetFamily::MicroVm | TargetFamily::UserSpaceKernel
                if target.networks.contains(&Network::Veth) =>
            {
                Some(Self::Link)
            }
            _ => None,
        }
    }

    /// Why no port of `target` can be reached by this way; `None` if one can.
    pub fn obstacle(self, target: &TargetInfo, network: Option<Network>) -> Option<&'static str> {
        let is_without = network == Some(Network::None) || target.networks == [Network::None];
        let is_root = geteuid().is_root();
        match self {
            Self::Loopback if !is_root => {
                Some("only root can look for a port in another network namespace")
            }
            Self::Loopback if is_without => {
                Some("its loopback is down, so no port of it can be reached")
            }
            Self::Link if is_without => {
                Some("a guest's port is reached by a link to the host: leave --net none out")
            }
            Self::Link if network == Some(Network::Loopback) => {
                Some("a guest's port is reached by a link to the host: leave --net loopback out")
            }
            Self::Link if !is_root => {
                Some("only root can make a link to a guest, and a port is reached by the link")
            }
            Self::Host | Self::Loopback | Self::Link => None,
        }
    }

    /// The least network with which a port of `target` is reached, if the target's default isn't
    /// enough.
    pub fn least_network(self, target: &TargetInfo) -> Option<Network> {
        let least = match self {
            Self::Host => None,
            Self::Loopback => Some(Network::Loopback),
            Self::Link => Some(Network::Veth),
        };
        least.filter(|network| target.networks.contains(network))
    }

    /// The place at the end of the way, which has to be found.
    ///
    /// # Errors
    /// `/proc` isn't mounted.
    pub fn reach(self) -> io::Result<Reach> {
        Ok(match self {
            Self::Host => Reach::Own,
            Self::Loopback => Reach::Inside {
                own: NetNamespace::own()?,
                found: None,
            },
            Self::Link => Reach::Guest {
                tap: None,
                is_up: false,
            },
        })
    }
}

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

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;

    fn target(family: TargetFamily, networks: &'static [Network]) -> TargetInfo {
        TargetInfo {
            networks,
            ..TargetInfo::peer(family, "fake", "A fake.")
        }
    }

    #[test]
    fn a_port_is_reached_by_the_instance_s_own_network() {
        let container = target(TargetFamily::Container, Network::ALL);
        let guest = target(TargetFamily::MicroVm, &[Network::None, Network::Veth]);
        let process = target(TargetFamily::Process, &[Network::Host]);
        for (target, network, way, least) in [
            (&process, None, Way::Host, None),
            (&container, None, Way::Loopback, Some(Network::Loopback)),
            (&container, Some(Network::Host), Way::Host, None),
            (&guest, None, Way::Link, Some(Network::Veth)),
        ] {
            let found = Way::to(target, network).unwrap();
            assert_eq!((found, found.least_network(target)), (way, least));
        }
        for family in [TargetFamily::MicroVm, TargetFamily::UserSpaceKernel] {
            assert_eq!(Way::to(&target(family, &[Network::None]), None), None);
        }
    }

    #[test]
    fn no_way_leads_to_an_instance_without_a_network() {
        if lacks(Need::Root) {
            return;
        }
        for (family, word) in [
            (TargetFamily::Container, "loopback"),
            (TargetFamily::MicroVm, "--net none"),
        ] {
            let target = target(family, Network::ALL);
            let without = Some(Network::None);
            let way = Way::to(&target, without).unwrap();
            assert_eq!(way.obstacle(&target, None), None);
            let reason = way.obstacle(&target, without).unwrap();
            assert!(reason.contains(word), "{reason}");
        }
    }
}
