#![expect(unsafe_code, reason = "writes to a port")]
//! The way out of a virtual machine and back, with no device at the other end.

use std::arch::asm;

use nix::errno::Errno;
use nix::libc;

use super::Work;
use crate::run::WorkloadError;

/// A port for diagnostic codes, which old machines show and new machines ignore. Linux itself has
/// used writes to it as short delays.
const PORT: u16 = 0x80;

/// Writes to the port.
pub(super) struct PortWrite(());

impl PortWrite {
    /// Asks the kernel for access to the port (`ioperm(2)`). The kernel gives it to root alone.
    pub(super) fn new() -> Result<Self, WorkloadError> {
        // SAFETY: from here on this process may use one port, to which no device listens.
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
            // SAFETY: `new` got access to the port, to which no device listens.
            unsafe {
                asm!(
                    "out {port}, al",
                    port = const PORT,
                    in("al") 0_u8,
                    options(nostack, nomem, preserves_flags),
                );
            }
        }
        Ok(())
    }
}
