//! The namespaces of a container, made by one `clone3`.

use libc::c_int;

use crate::mechanism::{Mechanism, Mechanisms};

/// All seven, in the kernel's order of making them. The network namespace costs more than the other six together.
const ALL: [(Mechanism, c_int); 7] = [
    (Mechanism::User, libc::CLONE_NEWUSER),
    (Mechanism::Mount, libc::CLONE_NEWNS),
    (Mechanism::Uts, libc::CLONE_NEWUTS),
    (Mechanism::Ipc, libc::CLONE_NEWIPC),
    (Mechanism::Pid, libc::CLONE_NEWPID),
    (Mechanism::CgroupNamespace, libc::CLONE_NEWCGROUP),
    (Mechanism::Net, libc::CLONE_NEWNET),
];

/// The flags for `clone3` that make the namespaces among `mechanisms`.
pub fn flags(mechanisms: Mechanisms) -> u64 {
    ALL.into_iter()
        .filter(|(mechanism, _)| mechanisms.contains(*mechanism))
        .fold(0, |flags, (_, flag)| flags | u64::from(flag.unsigned_abs()))
}
