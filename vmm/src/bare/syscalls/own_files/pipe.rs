//! A pipe: bytes that were written and not read yet (pipe(7)).
//!
//! As on Linux, a pipe is a row of sixteen pages, and a write begins a new page unless its end fits
//! into the last one (`pipe_write` in `fs/pipe.c`). So a pipe is full of many small pieces as well.

use std::collections::VecDeque;

/// The bytes that a pipe holds at most.
pub(in crate::bare::syscalls) const PIPE_BYTES: usize = PAGES * PAGE;
/// The bytes that are written to a pipe at once or not at all (`PIPE_BUF`).
const PAGE: usize = 4096;
const PAGES: usize = 16;
/// The bytes that wait for one socket of a pair (`/proc/sys/net/core/wmem_default`).
const SOCKET_BYTES: usize = 212_992;

/// What a pipe is a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bare::syscalls) enum PipeKind {
    /// A pipe by itself.
    Pipe,
    /// One direction of a pair of sockets.
    Socket,
}

/// A piece of what was written: at most a page.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    /// The bytes that were read.
    read: usize,
}

/// A pipe.
#[derive(Debug)]
pub(in crate::bare::syscalls) struct Pipe {
    kind: PipeKind,
    pieces: VecDeque<Piece>,
    length: usize,
    /// Whether the other socket was closed before it had read everything.
    pub is_reset: bool,
    /// Whether an end was shut down (shutdown(2)): nothing more is written.
    pub is_shut: bool,
    arrivals: u64,
    departures: u64,
}

impl Pipe {
    /// An empty pipe.
    pub fn new(kind: PipeKind) -> Self {
        Self {
            kind,
            pieces: VecDeque::new(),
            length: 0,
            is_reset: false,
            is_shut: false,
            arrivals: 0,
            departures: 0,
        }
    }

    /// The bytes that can be read.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nothing can be read.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Whether something can be written: for a socket, whether most of its room is free.
    pub fn is_writable(&self) -> bool {
        match self.kind {
            PipeKind::Pipe => self.pieces.len() < PAGES,
            PipeKind::Socket => self.length < SOCKET_BYTES / 4,
        }
    }

    /// Whether a write of `length` bytes can begin.
    pub fn accepts(&self, length: usize) -> bool {
        match self.kind {
            PipeKind::Pipe => self.pieces.len() < PAGES || (length <= PAGE && self.joins(length)),
            PipeKind::Socket => self.length < SOCKET_BYTES,
        }
    }

    /// Whether the odd bytes of a write of `length` bytes fit into the last page.
    fn joins(&self, length: usize) -> bool {
        let odd = length % PAGE;
        let last = self.pieces.back();
        odd > 0 && last.is_some_and(|last| last.bytes.len() + odd <= PAGE)
    }

    /// Adds bytes as far as there is room, and returns how many.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        let before = self.length;
        let mut left = bytes;
        if self.kind == PipeKind::Socket {
            left = &left[..left.len().min(SOCKET_BYTES - self.length)];
        } else if self.joins(bytes.len())
            && let Some(last) = self.pieces.back_mut()
        {
            let (odd, rest) = left.split_at(bytes.len() % PAGE);
            last.bytes.extend(odd);
            self.length += odd.len();
            left = rest;
        }
        for piece in left.chunks(PAGE) {
            if self.kind == PipeKind::Pipe && self.pieces.len() == PAGES {
                break;
            }
            self.length += piece.len();
            self.pieces.push_back(Piece {
                bytes: piece.to_vec(),
                read: 0,
            });
        }
        self.arrivals += u64::from(self.length > before);
        self.length - before
    }

    /// Takes at most `most` bytes.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some(first) = self.pieces.front_mut()
            && taken.len() < most
        {
            let left = &first.bytes[first.read..];
            let count = left.len().min(most - taken.len());
            taken.extend(&left[..count]);
            first.read += count;
            if first.read == first.bytes.len() {
                self.pieces.pop_front();
            }
        }
        self.length -= taken.len();
        self.departures += u64::from(!taken.is_empty());
        taken
    }

    /// Forgets the bytes.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.length = 0;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_in_order() {
        let mut pipe = Pipe::new(PipeKind::Pipe);
        let bytes: Vec<u8> = (0..10_000_u32).map(|byte| byte.to_le_bytes()[0]).collect();
        assert_eq!(pipe.write(&bytes), bytes.len());
        assert_eq!(pipe.read(5000), bytes[..5000]);
        assert_eq!((pipe.len(), pipe.read(9999).len()), (5000, 5000));
        assert!(pipe.is_empty());
    }

    #[test]
    fn a_pipe_is_full_of_sixteen_pages_however_little_they_hold() {
        let mut pipe = Pipe::new(PipeKind::Pipe);
        // Each piece is a byte too long to join the one before.
        for _ in 0..PAGES {
            assert!(pipe.is_writable());
            assert_eq!(pipe.write(&[1; 2049]), 2049);
        }
        assert!(!pipe.is_writable() && !pipe.accepts(2048));
        assert!(pipe.accepts(2047), "it joins the last page");
        assert_eq!(
            pipe.write(&[1; 9000]),
            9000 % PAGE,
            "the odd bytes join the last page"
        );
    }

    #[test]
    fn a_socket_takes_bytes_up_to_its_size() {
        let mut socket = Pipe::new(PipeKind::Socket);
        let much = vec![0; SOCKET_BYTES + 1];
        assert_eq!(socket.write(&much), SOCKET_BYTES);
        assert!(!socket.accepts(1) && !socket.is_writable());
    }
}
