//! Standard input through a port: the VMM fills a piece of memory. When there is nothing yet, the VMM
//! sends a byte through the serial port later, since no write to a port can wake a guest.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;

use super::super::host::Host;
use super::serial::SerialInput;

/// The bytes of the number before the bytes of input.
const HEADER: usize = size_of::<u32>();
/// The most bytes of input at a time: as many as a pipe holds.
const MOST_INPUT: usize = 64 * 1024;
/// The number of bytes that means that standard input has ended. A machine without the port leaves
/// the number as it was.
const END: u32 = u32::MAX;

/// The piece of memory, and the serial port that tells when to ask again.
#[derive(Debug)]
pub(super) struct PieceInput {
    wake: SerialInput,
    piece: Vec<u8>,
    /// Whether the VMM had nothing when it was asked last.
    is_empty: bool,
    /// Whether standard input has ended.
    ended: bool,
}

impl PieceInput {
    /// Opens the serial port. The VMM is asked for nothing yet, since the open empties the port.
    pub(super) fn open() -> Result<Self, Errno> {
        Ok(Self {
            wake: SerialInput::open()?,
            // The VMM fills only pages that are there and may be written, so each is written first.
            piece: vec![0xff; HEADER + MOST_INPUT],
            is_empty: false,
            ended: false,
        })
    }

    /// What becomes readable when the VMM has something, if it has nothing now.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.is_empty.then(|| self.wake.descriptor())
    }

    /// Whether standard input has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Where the bytes lie that were taken last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.piece[HEADER..]
    }

    /// Takes the next bytes from the VMM, and returns their number.
    pub(super) fn take(&mut self, host: &Host) -> usize {
        if self.is_empty {
            // A byte says no more than that it is there.
            self.wake.take();
        }
        self.piece[..HEADER].copy_from_slice(&END.to_le_bytes());
        host.input(&mut self.piece);
        let number = self
            .piece
            .first_chunk()
            .map_or(END, |n| u32::from_le_bytes(*n));
        self.is_empty = number == 0;
        self.ended = number == END;
        if self.ended {
            return 0;
        }
        (number as usize).min(MOST_INPUT)
    }
}
