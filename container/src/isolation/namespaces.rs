//! The namespaces of a container, which one `clone3` makes.

use libc::c_int;

use crate::mechanism::{Mechanism, Mechanisms};

/// All seven namespaces, in the order in which the kernel makes them. The network namespace costs
/// more than the other six together.
const ALL: [(Mechanism, c_int); 7] = [
    (Mechanism::User, libc::CLONE_NEWUSER),
    (Mechanism::Mount, libc::CLONE_NEWNS),
    (Mechanism::Uts, libc::CLONE_NEWUTS),
    (Mechanism::Ipc, libc::CLONE_NEWIPC),
    (Mechanism::Pid, libc::CLONE_NEWPID),
    (Mechanism::CgroupNamespace, libc::CLONE_NEWCGROUP),
    (Mechanism::Net, libc::CLONE_NEWNET),
];

/// The flags with which `clone3` makes the namespaces among `mechanisms`.
pub fn flags(mechanisms: Mechanisms) -> u64 {
    ALL.into_iter()
        .filter(|(mechanism, _)| mechanisms.contains(*mechanism))
        .fold(0, |flags, (_, flag)| flags | u64::from(flag.unsigned_abs()))
}
