//! Where a program's port is: in the harness's own network namespace, or in another.

use std::io;

use crate::host::accounting::InstanceGroup;
use crate::host::net_namespace::NetNamespace;

/// The network namespace in which an instance's port is looked for.
#[derive(Debug)]
pub(super) enum Reach {
    /// The harness's own.
    Own,
    /// Another namespace, which some process of the instance is in.
    Inside {
        /// The harness's own namespace.
        own: NetNamespace,
        /// The instance's namespace, once a process is in it.
        found: Option<NetNamespace>,
    },
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

    /// Looks for the namespace among the processes of the instance, unless it has been found.
    pub fn look(&mut self, group: Option<&InstanceGroup>) {
        let Self::Inside { own, found } = self else {
            return;
        };
        if found.is_some() {
            return;
        }
        let processes = group.and_then(|group| group.processes().ok());
        // A process that ends meanwhile has no namespace any more.
        let mut namespaces = processes
            .into_iter()
            .flatten()
            .filter_map(|pid| NetNamespace::of_process(pid).ok());
        *found = namespaces.find(|namespace| namespace != own);
    }

    /// Whether the port can be tried.
    pub fn is_known(&self) -> bool {
        !matches!(self, Self::Inside { found: None, .. })
    }

    /// The namespace of the port and the harness's own; `None` if they are the same.
    pub fn namespaces(&self) -> Option<(&NetNamespace, &NetNamespace)> {
        match self {
            Self::Inside {
                own,
                found: Some(found),
            } => Some((found, own)),
            _ => None,
        }
    }
}
