//! `disk`: reads or writes a range of a file or block device that exists already, or makes and removes small files.
//!
//! **The window.** Before `begin`: the file is opened, its size checked, the buffer filled. Between `begin` and
//! `end`: the operations and, for writes through the page cache, one fdatasync(2) at the end. Without that
//! a buffered write would be a copy into memory, and a guest whose device has no cache of its own would be
//! compared with a memcpy; with it every target has handed over all of its bytes when the clock stops.
//! A write with `--direct` has no page cache to flush and is not synced: it is labelled `O_DIRECT`, not durable.
//!
//! **The operations.** Sequential ones walk the range once. Random ones are `bytes / block` blocks at
//! block-aligned offsets, from a generator with a fixed seed: the same ones in every target and sample; a
//! block may come twice. `fsync` writes block after block, each followed by fdatasync.
//!
//! **The latencies.** Random operations are timed from the end of one to the end of the next (one
//! reading of the clock each: in a guest it may cost a VM exit, and the work between is nanoseconds);
//! `fsync` times the fdatasync alone. Sequential operations, and several at once, are not timed singly.

mod deep;
mod files;

use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Instant;

use bytesize::ByteSize;
use nix::fcntl::OFlag;

use super::block::{Block, Random};
use super::{WorkloadError, begin, send};
use crate::latencies::Latencies;
use crate::protocol::Message;

/// What to do with the disk, and how. Sizes are above zero, `bytes` a multiple of `block`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kind of operation.
    pub operation: DiskOperation,
    /// Bytes an operation; of each file, where files are made.
    pub block: ByteSize,
    /// Bytes in all, and the range of the file that is used; of all files, where files are made.
    pub bytes: ByteSize,
    /// The file or block device, which exists and holds at least `bytes`; an empty directory, where files are made.
    pub path: PathBuf,
    /// Past the page cache, with `O_DIRECT`.
    pub direct: bool,
    /// Random operations at once; each has a thread.
    pub depth: NonZeroU64,
}

/// Kinds of disk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOperation {
    /// Block after block is written.
    SequentialWrite,
    /// Block after block is read.
    SequentialRead,
    /// Blocks at random offsets are read.
    RandomRead,
    /// Blocks at random offsets are written.
    RandomWrite,
    /// Block after block is written, each made durable before the next.
    Fsync,
    /// File after file of one block is made.
    Create,
    /// File after file is removed.
    Unlink,
}

impl DiskOperation {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::SequentialWrite,
        Self::SequentialRead,
        Self::RandomRead,
        Self::RandomWrite,
        Self::Fsync,
        Self::Create,
        Self::Unlink,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SequentialWrite => "seq-write",
            Self::SequentialRead => "seq-read",
            Self::RandomRead => "rand-read",
            Self::RandomWrite => "rand-write",
            Self::Fsync => "fsync",
            Self::Create => "create",
            Self::Unlink => "unlink",
        }
    }

    /// Whether several can be under way at once.
    pub const fn is_random(self) -> bool {
        matches!(self, Self::RandomRead | Self::RandomWrite)
    }

    /// Whether it is about files rather than about what is in one.
    pub const fn is_of_files(self) -> bool {
        matches!(self, Self::Create | Self::Unlink)
    }

    const fn reads(self) -> bool {
        matches!(self, Self::SequentialRead | Self::RandomRead)
    }
}

impl Disk {
    pub(super) fn run(
        &self,
        output: &mut dyn Write,
        input: &mut dyn Read,
    ) -> Result<(), WorkloadError> {
        if self.operation.is_of_files() {
            return files::run(self, output, input);
        }
        let mut session = Session {
            disk: self,
            file: self.open()?,
            buffer: Block::new(self.block)?,
        };
        let mut latencies = Latencies::new();
        if self.depth.get() > 1 {
            deep::run(&session, self.depth, output, input)?;
        } else {
            begin(output, input)?;
            session.work(&mut latencies)?;
        }
        self.end(self.bytes, latencies, output)
    }

    /// Says what was done, and how long each took if that is known.
    fn end(
        &self,
        bytes: ByteSize,
        latencies: Latencies,
        output: &mut dyn Write,
    ) -> Result<(), WorkloadError> {
        let operations = self.operations();
        send(&Message::End { operations, bytes }, output)?;
        if latencies.count() > 0 {
            send(&Message::Latencies(latencies), output)?;
        }
        Ok(())
    }

    fn operations(&self) -> u64 {
        self.bytes.as_u64() / self.block.as_u64()
    }

    fn open(&self) -> Result<File, WorkloadError> {
        let flags = if self.direct {
            OFlag::O_DIRECT
        } else {
            OFlag::empty()
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(!self.operation.reads())
            .custom_flags(flags.bits())
            .open(&self.path)
            .map_err(|source| WorkloadError::Open {
                path: self.path.clone(),
                direct: self.direct,
                source,
            })?;
        let needed = self.bytes.as_u64();
        // A block device's metadata has no length; the end of either can be sought.
        let actual = file
            .seek(SeekFrom::End(0))
            .map_err(|source| self.failed("seek", 0, source))?;
        if actual < needed {
            let path = self.path.clone();
            return Err(WorkloadError::TooShort {
                path,
                actual,
                needed,
            });
        }
        Ok(file)
    }

    fn failed(&self, operation: &'static str, offset: u64, source: io::Error) -> WorkloadError {
        WorkloadError::Disk {
            operation,
            path: self.path.clone(),
            offset,
            source,
        }
    }
}

/// All that the timed window uses, made before it opens.
struct Session<'a> {
    disk: &'a Disk,
    file: File,
    buffer: Block,
}

impl Session<'_> {
    /// Everything inside the window.
    fn work(&mut self, latencies: &mut Latencies) -> Result<(), WorkloadError> {
        match self.disk.operation {
            DiskOperation::SequentialWrite => {
                self.sequential(Self::write)?;
                self.flush()
            }
            DiskOperation::SequentialRead => self.sequential(Self::read),
            DiskOperation::RandomRead => self.random(Self::read, latencies),
            DiskOperation::RandomWrite => {
                self.random(Self::write, latencies)?;
                self.flush()
            }
            DiskOperation::Fsync => self.sequential(|session, offset| {
                session.write(offset)?;
                let start = Instant::now();
                session.sync(offset)?;
                latencies.record(start.elapsed());
                Ok(())
            }),
            // Never of a session, which has one file.
            DiskOperation::Create | DiskOperation::Unlink => Ok(()),
        }
    }

    fn sequential(
        &mut self,
        mut operation: impl FnMut(&mut Self, u64) -> Result<(), WorkloadError>,
    ) -> Result<(), WorkloadError> {
        let block = self.disk.block.as_u64();
        (0..self.disk.operations()).try_for_each(|index| operation(self, index * block))
    }

    fn random(
        &mut self,
        operation: impl Fn(&mut Self, u64) -> Result<(), WorkloadError>,
        latencies: &mut Latencies,
    ) -> Result<(), WorkloadError> {
        let blocks = self.disk.operations();
        let mut random = Random::new();
        let mut before = Instant::now();
        for _ in 0..blocks {
            operation(self, random.below(blocks) * self.disk.block.as_u64())?;
            let after = Instant::now();
            latencies.record(after.duration_since(before));
            before = after;
        }
        Ok(())
    }

    /// Reads one block and looks at each of its pages, as whoever asked for the data would.
    fn read(&mut self, offset: u64) -> Result<(), WorkloadError> {
        self.file
            .read_exact_at(self.buffer.bytes_mut(), offset)
            .map_err(|source| self.disk.failed("read", offset, source))?;
        black_box(self.buffer.checksum());
        Ok(())
    }

    /// Writes one block, different at each offset.
    fn write(&mut self, offset: u64) -> Result<(), WorkloadError> {
        self.buffer.stamp(offset);
        self.file
            .write_all_at(self.buffer.bytes_mut(), offset)
            .map_err(|source| self.disk.failed("write", offset, source))
    }

    fn sync(&self, offset: u64) -> Result<(), WorkloadError> {
        self.file
            .sync_data()
            .map_err(|source| self.disk.failed("fdatasync", offset, source))
    }

    fn flush(&self) -> Result<(), WorkloadError> {
        if self.disk.direct {
            Ok(())
        } else {
            self.sync(self.disk.bytes.as_u64())
        }
    }
}
