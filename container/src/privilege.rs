//! What this process may do about namespaces by itself.

use nix::unistd::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

/// Whether a process needs a user namespace to make the other namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    /// The process is root with the capabilities that containers take: it can make any namespace,
    /// and can map any ids into a user namespace.
    Root,
    /// The process is any other: it can make other namespaces only inside a user namespace, into
    /// which it can map nothing but its own user and group.
    Ordinary,
}

impl Privilege {
    /// The privilege of this process.
    pub fn of_this_process() -> Self {
        /// What it takes to map a range of ids and to make namespaces (capabilities(7)).
        const NEEDED: CapabilitySet = CapabilitySet::SETGID
            .union(CapabilitySet::SETUID)
            .union(CapabilitySet::SYS_ADMIN);
        let capable = capabilities(None).is_ok_and(|sets| sets.effective.contains(NEEDED));
        if geteuid().is_root() && capable {
            Self::Root
        } else {
            Self::Ordinary
        }
    }
}
