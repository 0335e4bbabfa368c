//! Dropping every capability, in all five sets.

use nix::errno::Errno;

use crate::sys::process;

/// More than the kernel will ever have in a mask of 64 bits.
const CAPABILITIES: libc::c_ulong = 64;

/// Keeps whatever this process executes from gaining a capability, be it as user 0. It takes `CAP_SETPCAP`, so it comes first.
pub fn bound() -> nix::Result<()> {
    for number in 0..CAPABILITIES {
        match process::drop_bounding(number) {
            Ok(()) => {}
            Err(Errno::EINVAL) => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Leaves this process without any capability.
pub fn drop_all() -> nix::Result<()> {
    process::clear_ambient()?;
    process::clear_capabilities()
}
