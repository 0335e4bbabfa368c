//! The system calls that neither std nor nix offers in a form fit for the child of a clone.
//!
//! This is the crate's only unsafe code. Nothing here allocates, locks or panics on the child's path:
//! every buffer is handed in, and errors are bare [`Errno`]s.

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
