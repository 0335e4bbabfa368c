//! The host system calls that the VMM makes to serve a guest's system calls, for the seccomp
//! filter.

use nix::libc::{self, c_long};

/// The host system calls that a [`Personality`](super::Personality) and its devices make once the
/// guest runs.
///
/// The calls of the address space (`mmap`, `madvise`, `mprotect`) and of the allocator are not
/// included.
pub const HOST_SYSTEM_CALLS: [c_long; 14] = [
    // The console, files and disks, and the trace.
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_write,
    libc::SYS_preadv,
    libc::SYS_pwritev2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_poll,
    // The wait for the first of several events, when no thread of the program can run.
    libc::SYS_ppoll,
    // The clocks, if the host's vDSO can't answer.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
];
