//! Standard input by the mailbox of user-mode Linux: a disk that the launcher fills, piece by piece.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;

use memmap2::MmapMut;

use super::super::frames::{CALL, MAILBOX};
use super::super::host::Host;
use super::super::line::Line;

/// The size of a disk's sector in bytes. A direct read moves whole sectors.
const SECTOR: usize = 512;

/// The mailbox, and the calls that tell of its content.
#[derive(Debug)]
pub(super) struct MailboxInput {
    calls: File,
    mailbox: File,
    /// Memory on page boundaries, as direct reads want it.
    buffer: MmapMut,
    /// The bytes of a call that has not arrived whole.
    call: Vec<u8>,
    /// Whether the launcher waits for leave to fill the mailbox.
    taken: bool,
    /// Whether the launcher has told the end of standard input.
    ended: bool,
}

impl MailboxInput {
    /// Opens the mailbox, and lets the launcher fill it.
    pub(super) fn open(host: &Host) -> io::Result<Self> {
        let input = Self {
            calls: Line::calls()?,
            mailbox: Line::mailbox()?,
            buffer: MmapMut::map_anon(MAILBOX)?,
            call: Vec::new(),
            taken: false,
            ended: false,
        };
        host.grant();
        Ok(input)
    }

    /// What becomes readable when there are bytes.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.calls.as_fd()
    }

    /// Whether the launcher has told the end of standard input.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where the bytes lie that were taken last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the mailbox's content, if the launcher has called, and returns the number of bytes.
    pub(super) fn take(&mut self) -> usize {
        let mut rest = [0; CALL];
        let rest = &mut rest[..CALL - self.call.len()];
        match self.calls.read(rest) {
            // The launcher has gone, and with it this machine.
            Ok(0) => self.ended = true,
            Ok(count) => self.call.extend_from_slice(&rest[..count]),
            Err(_) => return 0,
        }
        let Ok(call) = <[u8; CALL]>::try_from(self.call.as_slice()) else {
            return 0;
        };
        self.call.clear();
        match u32::from_le_bytes(call) as usize {
            0 => {
                self.ended = true;
                0
            }
            count => self.read_mailbox(count),
        }
    }

    fn read_mailbox(&mut self, count: usize) -> usize {
        let sectors = count.next_multiple_of(SECTOR).min(MAILBOX);
        self.taken = true;
        let buffer = &mut self.buffer[..sectors];
        if self.mailbox.read_exact_at(buffer, 0).is_err() {
            // To the program, an input that can't be read has ended.
            self.ended = true;
            return 0;
        }
        count.min(sectors)
    }

    /// Lets the launcher fill the mailbox again.
    pub(super) fn ask_for_more(&mut self, host: &Host) {
        if self.taken {
            self.taken = false;
            host.grant();
        }
    }
}
