//! Dropping every capability, in all five sets.

use nix::errno::Errno;

use crate::sys::process;

/// More than the kernel will ever have in a mask of 64 bits.
const CAPABILITIES: libc::c_ulong = 64;

/// Leaves this process, and whatever it executes, without any capability.
///
/// The bounding set goes first: that takes `CAP_SETPCAP`. User 0 of the container then gains nothing by `execve`.
pub fn drop_all() -> nix::Result<()> {
    for number in 0..CAPABILITIES {
        match process::drop_bounding(number) {
            Ok(()) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    process::clear_ambient()?;
    process::clear_capabilities()
}
