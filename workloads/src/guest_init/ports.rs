#![expect(unsafe_code, reason = "asks for ports and writes to them")]
//! The VMM's ports, by which a guest's user space speaks to its machine without a driver.

use std::arch::asm;

use nix::errno::Errno;
use nix::libc;

use super::orders::{PowerOff, Wire};

/// How many ports there are in a row: output, error, mark, input, and four for the exit code.
const COUNT: u16 = 8;

// The distance of each port from the port for output, which is the first.
const ERROR: u16 = 1;
const MARK: u16 = 2;
const INPUT: u16 = 3;
const EXIT: u16 = 4;

/// The most bytes that the VMM takes at once.
const MOST_TRANSFERRED: usize = 64 * 1024;

/// Access to the VMM's ports.
#[derive(Debug)]
pub(super) struct Ports {
    /// The first port.
    base: u16,
    wire: Wire,
    power_off: Option<PowerOff>,
}

impl Ports {
    /// Asks the kernel for access to the ports (`ioperm(2)`).
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

    /// Sends bytes of the program's standard output.
    pub(super) fn output(&self, bytes: &[u8]) {
        self.write(0, bytes);
    }

    /// Sends bytes of the program's standard error.
    pub(super) fn error(&self, bytes: &[u8]) {
        self.write(ERROR, bytes);
    }

    /// Says that `/init` has started.
    pub(super) fn mark(&self) {
        self.write(MARK, &[0]);
    }

    /// Whether the VMM answers [`Self::input`].
    pub(super) fn take_input(&self) -> bool {
        self.wire == Wire::Pieces
    }

    /// Asks the VMM for standard input: the number of bytes and then the bytes, for which the VMM
    /// overwrites `piece`.
    pub(super) fn input(&self, piece: &mut [u8]) {
        // SAFETY: `open` got access to the port. During the write the VMM changes nothing but `piece`.
        unsafe {
            asm!(
                "out dx, al",
                in("dx") self.base + INPUT,
                in("al") 0_u8,
                in("rsi") piece.as_mut_ptr(),
                in("rcx") piece.len(),
                options(nostack, preserves_flags),
            );
        }
    }

    /// Ends the machine with the exit code `code`. The function returns if only a reset can end the
    /// machine.
    pub(super) fn exit(&self, code: u8) {
        match (self.wire, code) {
            // A debug exit cannot tell the code 0. The reset that follows means 0. A line is no port.
            (Wire::Bytes | Wire::Serial, 0) | (Wire::Line, _) => {}
            (Wire::Pieces | Wire::Bytes, code) => self.write(EXIT, &[code]),
            // There is no other way to tell the code. No message of the line protocol looks like
            // this.
            (Wire::Serial, code) => self.error(format!("init: exit code {code}\n").as_bytes()),
        }
        if let Some(PowerOff { port, value }) = self.power_off {
            // SAFETY: `open` got access to this port.
            unsafe { write_byte(port, value) };
        }
    }

    fn write(&self, offset: u16, bytes: &[u8]) {
        match self.wire {
            Wire::Pieces if offset <= ERROR => {
                for piece in bytes.chunks(MOST_TRANSFERRED) {
                    self.hand_over(offset, piece);
                }
            }
            Wire::Pieces | Wire::Bytes => self.write_bytes(offset, bytes),
            Wire::Serial if offset <= ERROR => self.write_bytes(0, bytes),
            // The other registers of a serial port take no marks, and a line is no port.
            Wire::Serial | Wire::Line => {}
        }
    }

    /// Writes byte after byte to the port at `offset`, which is one of the row.
    fn write_bytes(&self, offset: u16, bytes: &[u8]) {
        for &byte in bytes {
            // SAFETY: `open` got access to all ports of the row.
            unsafe { write_byte(self.base + offset, byte) };
        }
    }

    /// Names a piece of memory to the VMM, which reads it.
    fn hand_over(&self, offset: u16, piece: &[u8]) {
        // SAFETY: `open` got access to the port. During the write the VMM reads `piece` and changes
        // nothing.
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

/// Asks the kernel for access to `count` ports from `first` on.
fn permit(first: u16, count: u16) -> Result<(), Errno> {
    // SAFETY: the call changes no memory. It lets this process use ports, of which the orders say
    // that they are the VMM's.
    let result = unsafe { libc::ioperm(first.into(), count.into(), 1) };
    Errno::result(result).map(drop)
}

/// Writes one byte to a port. A machine without a device at the port ignores the byte.
///
/// # Safety
/// The kernel has given this process access to the port, and the device there touches no memory of
/// this process.
unsafe fn write_byte(port: u16, byte: u8) {
    // SAFETY: the caller promises that the write is allowed and harmless.
    unsafe {
        asm!(
            "out dx, al",
            in("dx") port,
            in("al") byte,
            options(nostack, nomem, preserves_flags),
        );
    }
}
