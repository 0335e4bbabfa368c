//! How much one import may write. A few bytes of a compressed layer can stand for a disk full of
//! zeros.
//!
//! The limit is half of the space that is free on the store's disk when the import begins. An
//! honest image that needs more would hardly be kept. The numbers of files and of bytes in names
//! are limited too, since an archive may unpack to nothing but names.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use bytesize::ByteSize;

/// Bytes that every file and directory is charged with: a block of the usual file systems.
const NODE_BYTES: u64 = 4096;
/// The most files and directories of one image. A large distribution has some 300000.
const MAX_NODES: u64 = 2_000_000;
/// The most bytes of their paths, since the paths of directories are kept in memory until the end.
/// A large distribution has 20 MiB.
const MAX_NAMES: u64 = 256 << 20;

/// An import takes more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// The files have too many bytes.
    #[error(
        "the image unpacks to more than {limit}, half of the free space; make room, or take a smaller image"
    )]
    Bytes {
        /// The limit.
        limit: ByteSize,
    },
    /// There are too many files and directories.
    #[error("the image has more than {MAX_NODES} files")]
    Nodes,
    /// The paths have too many bytes.
    #[error("the image has more than {} of names", ByteSize(MAX_NAMES))]
    Names,
}

/// What is left of an import's allowance. All clones share the allowance.
#[derive(Debug, Clone)]
pub struct Meter {
    limit: ByteSize,
    /// Bytes that are left.
    bytes: Rc<Cell<u64>>,
    /// Files and directories that are left.
    nodes: Rc<Cell<u64>>,
    /// Bytes of paths that are left.
    names: Rc<Cell<u64>>,
}

impl Meter {
    /// An allowance of half of `free`.
    pub fn half_of(free: ByteSize) -> Self {
        let limit = ByteSize(free.as_u64() / 2);
        Self {
            limit,
            bytes: Rc::new(Cell::new(limit.as_u64())),
            nodes: Rc::new(Cell::new(MAX_NODES)),
            names: Rc::new(Cell::new(MAX_NAMES)),
        }
    }

    /// Takes `count` bytes off the allowance.
    pub fn charge_bytes(&self, count: u64) -> Result<(), TooMuch> {
        let left = self.bytes.get().checked_sub(count);
        self.bytes.set(left.unwrap_or(0));
        left.map(drop).ok_or(TooMuch::Bytes { limit: self.limit })
    }

    /// Takes one file or directory, whose path has `length` bytes, off the allowance.
    pub fn charge_node(&self, length: usize) -> Result<(), TooMuch> {
        let left = self.nodes.get().checked_sub(1).ok_or(TooMuch::Nodes)?;
        self.nodes.set(left);
        let left = self.names.get().checked_sub(length as u64);
        self.names.set(left.ok_or(TooMuch::Names)?);
        self.charge_bytes(NODE_BYTES)
    }
}

/// A reader whose bytes are taken off an allowance.
pub struct MeteredReader<R> {
    inner: R,
    meter: Meter,
}

impl<R: Read> MeteredReader<R> {
    /// A reader of `inner`, whose bytes are taken off `meter`.
    pub fn new(inner: R, meter: Meter) -> Self {
        Self { inner, meter }
    }
}

impl<R: Read> Read for MeteredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter
            .charge_bytes(count as u64)
            .map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_stream_is_stopped_at_half_of_the_free_space() {
        let meter = Meter::half_of(ByteSize::mib(2));
        let mut reader = MeteredReader::new(io::repeat(0), meter.clone());
        let error = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert!(error.to_string().contains("more than 1.0 MiB"), "{error}");
        assert!(meter.charge_bytes(1).is_err());
    }

    #[test]
    fn an_empty_file_is_charged_with_a_block() {
        let meter = Meter::half_of(ByteSize::kib(16));
        assert_eq!(meter.charge_node(1), Ok(()));
        assert_eq!(meter.charge_node(1), Ok(()));
        assert!(matches!(meter.charge_node(1), Err(TooMuch::Bytes { .. })));
    }

    #[test]
    fn the_number_of_files_and_the_bytes_of_their_names_are_limited() {
        let meter = Meter::half_of(ByteSize::tib(100));
        let made = (0..=MAX_NODES).take_while(|_| meter.charge_node(1).is_ok());
        assert_eq!(made.count() as u64, MAX_NODES);
        let meter = Meter::half_of(ByteSize::tib(100));
        let made = (0..MAX_NODES).take_while(|_| meter.charge_node(2048).is_ok());
        assert_eq!(made.count() as u64, MAX_NAMES / 2048);
    }
}
