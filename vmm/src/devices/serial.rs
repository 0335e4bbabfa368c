//! The serial port COM1: the guest's kernel writes its messages here, and a byte that comes in wakes
//! `/init`.
//!
//! The program's own streams take another way, since a serial port costs two VM exits a byte.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};

use vm_superio::serial::NoEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

/// The last message of a kernel that halts, without its time: of kernel/reboot.c in Linux. A machine
/// without ACPI can't be switched off, so that a kernel that should switch it off halts, too.
const HALTED: &[u8] = b"reboot: System halted";

/// The bytes of messages that are kept: enough for a panic and its call trace.
const KEPT: usize = 16 * 1024;

/// The bytes of a line that is looked at: the message of a kernel that halts is shorter.
const LONGEST_LINE: usize = 80;

/// An interrupt line. A write to its descriptor is one edge (`KVM_IRQFD`).
#[derive(Debug)]
pub struct Interrupt(EventFd);

impl Interrupt {
    /// Makes the line whose descriptor is `edge`.
    pub fn new(edge: EventFd) -> Self {
        Self(edge)
    }
}

impl Trigger for Interrupt {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// Where the messages of the guest's kernel go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelMessages {
    /// The VMM keeps the last ones, to explain how a guest ended.
    Kept,
    /// The VMM keeps the last ones, and copies all to standard error.
    Shown,
}

/// The messages of the guest's kernel.
#[derive(Debug)]
struct Console {
    last: VecDeque<u8>,
    messages: KernelMessages,
    /// The last line so far, as far as it can be [`HALTED`].
    line: Vec<u8>,
    has_halted: bool,
}

impl Console {
    /// Looks for the message of a kernel that halts.
    fn look_at(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.has_halted |= self.line.trim_ascii_end().ends_with(HALTED);
                self.line.clear();
            } else if self.line.len() < LONGEST_LINE {
                self.line.push(byte);
            }
        }
    }
}

impl Write for Console {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.look_at(bytes);
        self.last.extend(bytes);
        let excess = self.last.len().saturating_sub(KEPT);
        self.last.drain(..excess);
        if self.messages == KernelMessages::Shown {
            // A user who closed standard error does not want to see the messages.
            let _ = io::stderr().write_all(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The serial port.
pub struct SerialPort {
    port: Serial<Interrupt, NoEvents, Console>,
}

impl fmt::Debug for SerialPort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SerialPort").finish_non_exhaustive()
    }
}

impl SerialPort {
    /// Makes a port that raises `interrupt`, for the kernel's `messages`.
    pub fn new(interrupt: Interrupt, messages: KernelMessages) -> Self {
        let console = Console {
            last: VecDeque::new(),
            messages,
            line: Vec::new(),
            has_halted: false,
        };
        Self {
            port: Serial::new(interrupt, console),
        }
    }

    /// Serves a guest's write of bytes to one register.
    pub fn write(&mut self, register: u8, bytes: &[u8]) {
        for byte in bytes {
            // The write fails only for an interrupt that is pending already.
            let _ = self.port.write(register, *byte);
        }
    }

    /// Serves a guest's read of one register.
    pub fn read(&mut self, register: u8, into: &mut [u8]) {
        for byte in into {
            *byte = self.port.read(register);
        }
    }

    /// Puts bytes into the receiver. Bytes for which there is no room are lost, as on a wire.
    pub fn receive(&mut self, bytes: &[u8]) {
        let room = self.port.fifo_capacity().min(bytes.len());
        let _ = self.port.enqueue_raw_bytes(&bytes[..room]);
    }

    /// Whether the guest's kernel has said that it halts. Nothing wakes such a kernel.
    pub fn has_halted(&self) -> bool {
        self.port.writer().has_halted
    }

    /// The last messages of the guest's kernel.
    pub fn console(&self) -> String {
        let last = &self.port.writer().last;
        let bytes: Vec<u8> = last.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port() -> SerialPort {
        SerialPort::new(
            Interrupt::new(EventFd::new(0).unwrap()),
            KernelMessages::Kept,
        )
    }

    #[test]
    fn the_end_of_a_long_console_is_kept() {
        let mut serial = port();
        serial.write(0, &[b'a'; KEPT]);
        serial.write(0, b"Kernel panic");
        let console = serial.console();
        assert_eq!(console.len(), KEPT);
        assert!(console.ends_with("aKernel panic"));
    }

    #[test]
    fn a_kernel_that_halts_is_heard_at_the_end_of_its_line() {
        for (said, has_halted) in [
            (&b"[    1.234567] reboot: System halted\r\n"[..], true),
            (b"reboot: System halted\n", true),
            (b"[    1.234567] reboot: System halted", false),
            (b"[    1.234567] reboot: System halted?\n", false),
            (b"[    1.234567] reboot: Restarting system\r\n", false),
        ] {
            let mut serial = port();
            serial.write(0, &[b'x'; 1000]);
            serial.write(0, b"\r\n");
            serial.write(0, said);
            assert_eq!(serial.has_halted(), has_halted, "{}", said.escape_ascii());
        }
    }

    #[test]
    fn received_bytes_are_read_in_order_and_the_excess_is_lost() {
        let mut serial = port();
        serial.receive(&[1; 60]);
        serial.receive(&[2; 60]);
        let mut read = [0; 70];
        serial.read(0, &mut read);
        assert_eq!(read[59..65], [1, 2, 2, 2, 2, 0]);
    }

    #[test]
    fn no_register_access_panics() {
        let mut serial = port();
        for register in 0..=u8::MAX {
            serial.write(register, &[0, 0xff, 0x55]);
            serial.read(register, &mut [0; 3]);
        }
    }
}
