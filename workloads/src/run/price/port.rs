#![expect(unsafe_code, reason = "writes to a port")]
//! The way out of a virtual machine and back, without a device at the other end.

use std::arch::asm;

use nix::errno::Errno;
use nix::libc;

use super::Work;
use crate::run::WorkloadError;

/// A port for diagnostic codes, which machines of old show and new ones ignore; Linux itself used it to pass the time.
const PORT: u16 = 0x80;

/// A write to the port.
pub(super) struct PortWrite(());

impl PortWrite {
    /// Asks the kernel for access (`ioperm(2)`), which it gives to root alone.
    pub(super) fn new() -> Result<Self, WorkloadError> {
        // SAFETY: from here on this process may use one port, on which nothing hangs.
        let result = unsafe { libc::ioperm(PORT.into(), 1, 1) };
        match Errno::result(result) {
            Ok(_) => Ok(Self(())),
            Err(errno) => Err(WorkloadError::Kernel {
                operation: "ioperm",
                source: errno.into(),
            }),
        }
    }
}

impl Work for PortWrite {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        for _ in 0..turns {
            // SAFETY: `new` got the port, and no device is there to be confused.
            unsafe {
                asm!("out {port}, al", port = const PORT, in("al") 0_u8, options(nostack, nomem, preserves_flags));
            }
        }
        Ok(())
    }
}
