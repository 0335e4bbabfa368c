//! Standard input over a virtual machine's serial port: the only way into such a guest that can wake
//! the guest. `/init` grants the VMM credit, since a byte without room in the port would be lost.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::read;

use super::super::host::Host;

/// The first serial port.
const SERIAL: &str = "/dev/ttyS0";
/// Bytes that the serial port's receiver holds. So many bytes may be on their way.
const WINDOW: u8 = 64;
/// The byte before a byte that is not to be taken as it is.
const ESCAPE: u8 = 0xff;
/// The byte after an escape which says that standard input has ended.
const END: u8 = 0;

/// The serial port, with what is known of the bytes so far.
#[derive(Debug)]
pub(super) struct SerialInput {
    from: OwnedFd,
    /// Bytes that have come from the serial port since the VMM was last told to send more.
    taken: u8,
    /// Whether the last byte was an escape.
    escaped: bool,
    /// Whether the VMM has sent the end of standard input.
    ended: bool,
}

impl SerialInput {
    /// Opens the serial port, and tells the VMM to send.
    pub(super) fn open(host: &Host) -> Result<Self, Errno> {
        let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let from = open(SERIAL, flags, Mode::empty())?;
        let mut settings = tcgetattr(&from)?;
        cfmakeraw(&mut settings);
        tcsetattr(&from, SetArg::TCSANOW, &settings)?;
        host.grant(WINDOW);
        Ok(Self {
            from,
            taken: 0,
            escaped: false,
            ended: false,
        })
    }

    /// What becomes readable when there are bytes.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.from.as_fd()
    }

    /// Whether the VMM has sent the end of standard input.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Adds bytes from the serial port to `pending`.
    pub(super) fn take(&mut self, pending: &mut Vec<u8>) {
        let mut buffer = [0; WINDOW as usize];
        let count = read(&self.from, &mut buffer).unwrap_or(0);
        self.taken = self
            .taken
            .saturating_add(u8::try_from(count).unwrap_or(WINDOW));
        for &byte in &buffer[..count] {
            match (self.escaped, byte) {
                (false, ESCAPE) => self.escaped = true,
                (true, END) => self.ended = true,
                _ => {
                    self.escaped = false;
                    pending.push(byte);
                }
            }
        }
    }

    /// Tells the VMM to send as many bytes as have been passed on.
    pub(super) fn ask_for_more(&mut self, host: &Host) {
        if self.taken > 0 {
            host.grant(self.taken);
            self.taken = 0;
        }
    }
}
