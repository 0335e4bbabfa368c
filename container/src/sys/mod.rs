//! The system calls that neither the standard library nor nix offers in a form fit for the child
//! of a clone. Where rustix has a call, the function here is a wrapper without `unsafe`.
//!
//! Unsafe code elsewhere in the crate only calls the unsafe functions of this folder, and says why
//! that is sound. The functions that the child calls allocate nothing, take no lock and do not
//! panic: callers hand in every buffer, and errors are bare [`Errno`]s.

pub mod mount;
pub mod process;
pub mod signal;
pub mod socket;
pub mod tap;

use nix::errno::Errno;

/// The result of a raw system call: its value, or `errno`.
fn checked(result: libc::c_long) -> nix::Result<libc::c_long> {
    if result == -1 {
        Err(Errno::last())
    } else {
        Ok(result)
    }
}

/// For `map_err`: the error number of a rustix call, in the type that this crate's errors hold.
pub fn errno(error: rustix::io::Errno) -> Errno {
    Errno::from_raw(error.raw_os_error())
}
