#![expect(unsafe_code, reason = "asks for ports and writes to them")]
//! The VMM's ports: how a guest's user space says something to its machine without a driver.

use std::arch::asm;

use nix::errno::Errno;
use nix::libc;

use super::orders::{PowerOff, Wire};

/// Ports in a row: output, error, mark, input, and four for the exit code.
const COUNT: u16 = 8;
const ERROR: u16 = 1;
const MARK: u16 = 2;
const INPUT: u16 = 3;
const EXIT: u16 = 4;

/// Most bytes that the VMM takes at once.
const MOST_TRANSFERRED: usize = 64 * 1024;

/// Access to the VMM's ports.
#[derive(Debug)]
pub(super) struct Ports {
    base: u16,
    wire: Wire,
    power_off: Option<PowerOff>,
}

impl Ports {
    /// Asks the kernel for access (`ioperm(2)`).
    pub(super) fn open(base: u16, wire: Wire, power_off: Option<PowerOff>) -> Result<Self, Errno> {
        permit(base, COUNT)?;
        if let Some(PowerOff { port, .. }) = power_off {
            permit(port, 1)?;
        }
        Ok(Self {
            base,
            wire,
            power_off,
        })
    }

    /// Writes to the program's standard output.
    pub(super) fn output(&self, bytes: &[u8]) {
        self.write(0, bytes);
    }

    /// Writes to its standard error.
    pub(super) fn error(&self, bytes: &[u8]) {
        self.write(ERROR, bytes);
    }

    /// Says that `/init` has started.
    pub(super) fn mark(&self) {
        self.write(MARK, &[0]);
    }

    /// Says that this many bytes of input would be welcome.
    pub(super) fn grant(&self, count: u8) {
        self.write(INPUT, &[count]);
    }

    /// Ends the machine. Comes back where only a reset does that.
    pub(super) fn exit(&self, code: u8) {
        match (self.wire, code) {
            // A debug exit can't say 0, so that a reset has to.
            (Wire::Bytes | Wire::Serial, 0) => {}
            (Wire::Pieces | Wire::Bytes, code) => self.write(EXIT, &[code]),
            // There is no other way to tell, and no protocol takes it for its own.
            (Wire::Serial, code) => self.error(format!("init: exit code {code}\n").as_bytes()),
        }
        if let Some(PowerOff { port, value }) = self.power_off {
            write_byte(port, value);
        }
    }

    fn write(&self, offset: u16, bytes: &[u8]) {
        match self.wire {
            Wire::Pieces if offset <= ERROR => {
                for piece in bytes.chunks(MOST_TRANSFERRED) {
                    self.hand_over(offset, piece);
                }
            }
            Wire::Pieces | Wire::Bytes => bytes.iter().for_each(|&byte| {
                write_byte(self.base + offset, byte);
            }),
            Wire::Serial if offset <= ERROR => bytes.iter().for_each(|&byte| {
                write_byte(self.base, byte);
            }),
            // Its other registers are no marks.
            Wire::Serial => {}
        }
    }

    /// Names a piece of memory to the VMM.
    fn hand_over(&self, offset: u16, piece: &[u8]) {
        // SAFETY: writes to a port that `open` got; the VMM reads `piece` meanwhile, and changes nothing.
        unsafe {
            asm!(
                "out dx, al",
                in("dx") self.base + offset,
                in("al") 0_u8,
                in("rsi") piece.as_ptr(),
                in("rcx") piece.len(),
                options(nostack, readonly, preserves_flags),
            );
        }
    }
}

fn permit(first: u16, count: u16) -> Result<(), Errno> {
    // SAFETY: from here on this process may use these ports, which the orders say are the VMM's.
    let result = unsafe { libc::ioperm(first.into(), count.into(), 1) };
    Errno::result(result).map(drop)
}

fn write_byte(port: u16, byte: u8) {
    // SAFETY: writes to a port that `open` got; a machine without a device there ignores it.
    unsafe {
        asm!(
            "out dx, al",
            in("dx") port,
            in("al") byte,
            options(nostack, nomem, preserves_flags),
        );
    }
}
