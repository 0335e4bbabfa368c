//! A pipe: bytes that were written and not read yet (pipe(7)).

use std::collections::VecDeque;

/// The bytes that a pipe holds.
pub(in crate::bare::syscalls) const MOST_BYTES: usize = 65_536;
/// The bytes that are written at once or not at all (`PIPE_BUF`).
pub(in crate::bare::syscalls) const ATOMIC: usize = 4096;

/// A pipe.
#[derive(Debug, Default)]
pub(in crate::bare::syscalls) struct Pipe {
    bytes: VecDeque<u8>,
    /// Whether an end was shut down (shutdown(2)): nothing more is written.
    pub is_shut: bool,
    arrivals: u64,
    departures: u64,
}

impl Pipe {
    /// The bytes that can be read.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing can be read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes that can be written.
    pub fn room(&self) -> usize {
        MOST_BYTES - self.bytes.len()
    }

    /// Takes at most `most` bytes.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.bytes.len());
        self.departures += u64::from(count > 0);
        self.bytes.drain(..count).collect()
    }

    /// Adds bytes, for which there is room.
    pub fn write(&mut self, bytes: &[u8]) {
        self.arrivals += u64::from(!bytes.is_empty());
        self.bytes.extend(bytes);
    }

    /// A number that grows with each arrival of bytes.
    pub fn arrivals(&self) -> u64 {
        self.arrivals
    }

    /// A number that grows with each room that a read makes.
    pub fn departures(&self) -> u64 {
        self.departures
    }
}
