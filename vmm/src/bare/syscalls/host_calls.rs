//! The host system calls that serving a guest makes: this layer's share of the VMM's seccomp allow-list.

use nix::libc::{self, c_long};

/// Every host system call that a [`Personality`](super::Personality) makes after it has been made, with its devices.
///
/// The address space, which makes its own (`mmap`, `madvise`, `mprotect`), is not included, nor is the allocator.
pub const HOST_SYSTEM_CALLS: [c_long; 14] = [
    // The console, files and disks; the trace.
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_write,
    libc::SYS_preadv,
    libc::SYS_pwritev2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    // TCGETS and TIOCGWINSZ, on the console.
    libc::SYS_ioctl,
    libc::SYS_poll,
    // The clocks, where the host's vDSO can't answer.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
];
