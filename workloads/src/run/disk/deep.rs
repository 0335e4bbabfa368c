//! Several random operations at once. Each thread does one operation at a time, with a block of its
//! own.
//!
//! Threads are used, and not `io_uring`: containers' filters refuse `io_uring`, and the work must
//! be the same in every target. The offsets are the same as for one operation at a time. They are
//! dealt out to the threads in turn.

use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt as _;
use std::panic::resume_unwind;
use std::sync::{PoisonError, RwLock};
use std::thread;

use super::{DiskOperation, Session};
use crate::run::block::{Block, Random};
use crate::run::{WorkloadError, begin};

/// Does all operations of the session, `depth` at once. The threads are started before the timed
/// window opens.
pub(super) fn run(
    session: &Session<'_>,
    depth: NonZeroU64,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    let disk = session.disk;
    let depth = usize::try_from(depth.get()).unwrap_or(usize::MAX);
    let offsets = offsets(disk.operations(), disk.block.as_u64());
    let blocks = (0..depth).map(|_| Block::new(disk.block));
    let blocks: Vec<Block> = blocks.collect::<Result<_, _>>()?;
    let gate = RwLock::new(());
    thread::scope(|scope| {
        // The lock holds nothing, so its poisoning does not matter. It is given back on every way
        // out of this function, so that no thread waits for ever.
        let closed = gate.write().unwrap_or_else(PoisonError::into_inner);
        let mut threads = Vec::new();
        for (place, mut block) in blocks.into_iter().enumerate() {
            let share = offsets.iter().skip(place).step_by(depth).copied();
            let gate = &gate;
            let work = move || {
                drop(gate.read());
                share
                    .map(|offset| (offset, session.one(&mut block, offset)))
                    .find_map(|(offset, done)| done.err().map(|error| (offset, error)))
            };
            let thread = thread::Builder::new().spawn_scoped(scope, work);
            threads.push(thread.map_err(|source| WorkloadError::Kernel {
                operation: "starting a thread",
                source,
            })?);
        }
        begin(output, input)?;
        drop(closed);
        for thread in threads {
            let failed = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            if let Some((offset, source)) = failed {
                return Err(disk.failed(disk.operation.name(), offset, source));
            }
        }
        if disk.operation == DiskOperation::RandomWrite {
            session.flush()?;
        }
        Ok(())
    })
}

/// The offsets of all operations, in the order of one operation at a time.
fn offsets(blocks: u64, block: u64) -> Vec<u64> {
    let mut random = Random::new();
    (0..blocks).map(|_| random.below(blocks) * block).collect()
}

impl Session<'_> {
    /// Does one operation at `offset`.
    fn one(&self, block: &mut Block, offset: u64) -> io::Result<()> {
        let file: &File = &self.file;
        if self.disk.operation == DiskOperation::RandomWrite {
            block.stamp(offset);
            return file.write_all_at(block.bytes_mut(), offset);
        }
        file.read_exact_at(block.bytes_mut(), offset)?;
        black_box(block.checksum());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::empty;

    use bytesize::ByteSize;

    use super::*;
    use crate::protocol::Message;
    use crate::run::{Disk, Workload};

    fn said(
        operation: DiskOperation,
        path: &std::path::Path,
    ) -> Result<Vec<Message>, WorkloadError> {
        let disk = Disk {
            operation,
            block: ByteSize::kib(4),
            bytes: ByteSize::kib(400),
            path: path.to_owned(),
            direct: false,
            depth: NonZeroU64::new(16).unwrap(),
        };
        let mut output = Vec::new();
        Workload::Disk(disk).run(&mut output, &mut empty())?;
        let text = String::from_utf8(output).unwrap();
        Ok(text.lines().map(|line| line.parse().unwrap()).collect())
    }

    #[test]
    fn several_threads_use_the_blocks_that_one_would() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(400 << 10).unwrap();
        for operation in [DiskOperation::RandomWrite, DiskOperation::RandomRead] {
            let end = Message::End {
                operations: 100,
                bytes: ByteSize::kib(400),
            };
            assert_eq!(said(operation, file.path()).unwrap(), [Message::Begin, end]);
        }
        let bytes = std::fs::read(file.path()).unwrap();
        let mut asked = offsets(100, 4096);
        asked.sort_unstable();
        asked.dedup();
        for offset in 0..100 {
            let start = usize::try_from(offset * 4096).unwrap();
            let written = bytes[start..start + 4096].iter().any(|byte| *byte != 0);
            assert_eq!(written, asked.binary_search(&(offset * 4096)).is_ok());
        }
    }

    #[test]
    fn a_device_that_is_too_short_is_an_error() {
        let error = said(DiskOperation::RandomRead, "/dev/full".as_ref()).unwrap_err();
        assert!(matches!(error, WorkloadError::TooShort { .. }), "{error}");
    }

    #[test]
    fn no_thread_waits_for_ever_if_the_output_is_closed() {
        let mut closed: &mut [u8] = &mut [];
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(400 << 10).unwrap();
        let disk = Disk {
            operation: DiskOperation::RandomRead,
            block: ByteSize::kib(4),
            bytes: ByteSize::kib(400),
            path: file.path().to_owned(),
            direct: false,
            depth: NonZeroU64::new(4).unwrap(),
        };
        let error = Workload::Disk(disk)
            .run(&mut closed, &mut empty())
            .unwrap_err();
        assert!(matches!(error, WorkloadError::Output(_)), "{error}");
    }
}
