#![expect(unsafe_code, reason = "asks for ports and writes to them")]
//! The VMM's ports: how a guest's user space says something to its machine without a driver.

use std::arch::asm;

use nix::errno::Errno;
use nix::libc;

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
    takes_pieces: bool,
}

impl Ports {
    /// Asks the kernel for access (`ioperm(2)`).
    pub(super) fn open(base: u16, takes_pieces: bool) -> Result<Self, Errno> {
        // SAFETY: from here on this process may use eight ports, which the orders say are the VMM's.
        let result = unsafe { libc::ioperm(base.into(), COUNT.into(), 1) };
        Errno::result(result).map(|_| Self { base, takes_pieces })
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

    /// Ends the machine.
    pub(super) fn exit(&self, code: u8) {
        self.write(EXIT, &[code]);
    }

    fn write(&self, offset: u16, bytes: &[u8]) {
        for piece in bytes.chunks(MOST_TRANSFERRED) {
            if offset <= ERROR && self.takes_pieces {
                self.hand_over(offset, piece);
            } else {
                for byte in piece {
                    self.write_byte(offset, *byte);
                }
            }
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

    fn write_byte(&self, offset: u16, byte: u8) {
        // SAFETY: writes to a port that `open` got; a machine without a device there ignores it.
        unsafe {
            asm!(
                "out dx, al",
                in("dx") self.base + offset,
                in("al") byte,
                options(nostack, nomem, preserves_flags),
            );
        }
    }
}
