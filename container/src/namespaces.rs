//! The namespaces of a container, made by one `clone3`.

use libc::c_int;

/// All seven, in the kernel's order of making them. The network namespace costs more than the other six together.
const ALL: [c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWNET,
];

/// The flags for `clone3`: all namespaces, or all but the network's.
pub fn flags(host_network: bool) -> u64 {
    ALL.into_iter()
        .filter(|flag| !(host_network && *flag == libc::CLONE_NEWNET))
        .fold(0, |flags, flag| flags | u64::from(flag.unsigned_abs()))
}
