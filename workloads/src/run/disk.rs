//! `disk`: reads or writes a range of a file or block device, or makes and removes small files.
//!
//! **The timed window.** Before `begin`, the file is opened, its size is checked, and the buffer is
//! filled. Between `begin` and `end` come the operations and, for writes through the page cache,
//! one fdatasync(2). Without the fdatasync, a buffered write would be a copy into memory, and a
//! guest whose device has no cache would be compared with a memcpy. With the fdatasync, every
//! target has handed over all of its bytes when the clock stops. A write with `--direct` has no
//! page cache to flush and is not synced, so its figures say nothing about durability.
//!
//! **The operations.** Sequential operations walk through the range once. Random operations are
//! `bytes / block` blocks at block-aligned offsets, from a generator with a fixed seed: the offsets
//! are the same in every target and sample, and a block may come twice. `fsync` writes block after
//! block, and calls fdatasync after each.
//!
//! **The latencies.** A random operation is timed from the end of the one before to its own end.
//! That takes one reading of the clock each, which in a guest may cost a VM exit; the work in
//! between takes nanoseconds. `fsync` times the fdatasync alone. Sequential operations, and several
//! operations at once, are not timed one by one.

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
use strum::{IntoStaticStr, VariantArray};

use super::block::{Block, Random};
use super::{WorkloadError, begin, send};
use crate::latencies::Latencies;
use crate::protocol::Message;

/// Work on a disk. Sizes are above zero, and `bytes` is a multiple of `block`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The kind of operation.
    pub operation: DiskOperation,
    /// Bytes of one operation; for small files, bytes of each file.
    pub block: ByteSize,
    /// Bytes of all operations, which are also the range of the file that is used; for small files,
    /// bytes of all files.
    pub bytes: ByteSize,
    /// The file or block device, which exists and holds at least `bytes`; for small files, an empty
    /// directory.
    pub path: PathBuf,
    /// Whether the operations go past the page cache, with `O_DIRECT`.
    pub direct: bool,
    /// How many random operations are under way at once, each in a thread.
    pub depth: NonZeroU64,
}

/// Kinds of disk operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum DiskOperation {
    /// Writes block after block.
    #[strum(serialize = "seq-write")]
    SequentialWrite,
    /// Reads block after block.
    #[strum(serialize = "seq-read")]
    SequentialRead,
    /// Reads blocks at random offsets.
    #[strum(serialize = "rand-read")]
    RandomRead,
    /// Writes blocks at random offsets.
    #[strum(serialize = "rand-write")]
    RandomWrite,
    /// Writes block after block, and makes each durable before the next.
    Fsync,
    /// Makes file after file of one block.
    Create,
    /// Removes file after file.
    Unlink,
}

impl DiskOperation {
    /// Every kind.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The operation's name on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether several such operations can be under way at once.
    pub const fn is_random(self) -> bool {
        matches!(self, Self::RandomRead | Self::RandomWrite)
    }

    /// Whether the operation makes or removes files, and does not work in one file.
    pub const fn is_of_files(self) -> bool {
        matches!(self, Self::Create | Self::Unlink)
    }

    const fn reads(self) -> bool {
        matches!(self, Self::SequentialRead | Self::RandomRead)
    }
}

impl Disk {
    /// Does the work.
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

    /// Sends the messages after the work: what was done, and the latencies if any were recorded.
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
        // The metadata of a block device has no length, but its end can be sought as a file's.
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

/// What the timed window uses, made before the window opens.
struct Session<'a> {
    disk: &'a Disk,
    file: File,
    buffer: Block,
}

impl Session<'_> {
    /// Does everything that belongs into the timed window.
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
            // A session has one file, so these operations never reach it.
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

    /// Reads one block, and reads from each page of the block, as a program that wanted the data
    /// would.
    fn read(&mut self, offset: u64) -> Result<(), WorkloadError> {
        self.file
            .read_exact_at(self.buffer.bytes_mut(), offset)
            .map_err(|source| self.disk.failed("read", offset, source))?;
        black_box(self.buffer.checksum());
        Ok(())
    }

    /// Writes one block, which is different at each offset.
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
