//! Small files, which are made in an empty directory one after the other, or removed from it.
//!
//! **The timed window.** `create` makes each file, which must not exist, writes one block and
//! closes the file. Nothing is flushed. `unlink` removes files that were made before `begin`, and
//! not flushed either. So both are work of the file system in memory, as unpacking an archive or
//! cleaning up after a build is.
//!
//! Names are looked up in the open directory, so that a target's longer path to the directory does
//! not count. All files that were made are removed in the end, also by a run that fails.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

use bytesize::ByteSize;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Disk, DiskOperation};
use crate::latencies::Latencies;
use crate::run::block::Block;
use crate::run::{WorkloadError, begin};

/// Makes or removes as many files as `disk` says.
pub(super) fn run(
    disk: &Disk,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    let mut files = Files::open(disk)?;
    let mut latencies = Latencies::new();
    let bytes = if disk.operation == DiskOperation::Create {
        begin(output, input)?;
        files.all(Files::create, &mut latencies)?;
        disk.bytes
    } else {
        files.all(Files::create, &mut Latencies::new())?;
        begin(output, input)?;
        files.all(Files::unlink, &mut latencies)?;
        ByteSize(0)
    };
    disk.end(bytes, latencies, output)
}

/// The directory, and the files in it.
struct Files<'a> {
    disk: &'a Disk,
    directory: OwnedFd,
    buffer: Block,
    /// The name of the current file.
    name: String,
    /// The number of the first file that exists.
    first: u64,
    /// The number of the next file to make.
    next: u64,
}

impl<'a> Files<'a> {
    fn open(disk: &'a Disk) -> Result<Self, WorkloadError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let directory = open(&disk.path, flags, Mode::empty());
        Ok(Self {
            disk,
            directory: directory.map_err(|error| WorkloadError::Open {
                path: disk.path.clone(),
                direct: false,
                source: error.into(),
            })?,
            buffer: Block::new(disk.block)?,
            name: String::new(),
            first: 0,
            next: 0,
        })
    }

    /// Calls `one` once for each file. The calls are timed as random operations are, from the end
    /// of one to the end of the next.
    fn all(
        &mut self,
        one: fn(&mut Self) -> Result<(), WorkloadError>,
        latencies: &mut Latencies,
    ) -> Result<(), WorkloadError> {
        let mut before = Instant::now();
        for _ in 0..self.disk.operations() {
            one(self)?;
            let after = Instant::now();
            latencies.record(after.duration_since(before));
            before = after;
        }
        Ok(())
    }

    fn create(&mut self) -> Result<(), WorkloadError> {
        let number = self.next;
        self.call(number);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = openat(&self.directory, self.name.as_str(), flags, mode);
        let file = file.map_err(|error| self.failed("making", error.into()))?;
        self.next += 1;
        self.buffer.stamp(number * self.disk.block.as_u64());
        File::from(file)
            .write_all(self.buffer.bytes_mut())
            .map_err(|source| self.failed("writing", source))
    }

    fn unlink(&mut self) -> Result<(), WorkloadError> {
        self.call(self.first);
        self.remove()
            .map_err(|error| self.failed("removing", error.into()))?;
        self.first += 1;
        Ok(())
    }

    /// Makes the file number `number` the current one.
    fn call(&mut self, number: u64) {
        self.name.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.name, "{number}");
    }

    /// Removes the current file.
    fn remove(&self) -> nix::Result<()> {
        let flags = UnlinkatFlags::NoRemoveDir;
        unlinkat(&self.directory, self.name.as_str(), flags)
    }

    fn failed(&self, operation: &'static str, source: io::Error) -> WorkloadError {
        WorkloadError::File {
            operation,
            path: self.disk.path.join(&self.name),
            source,
        }
    }
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        for number in self.first..self.next {
            self.call(number);
            // A file that cannot be removed stays for the owner of the directory to find.
            let _ = self.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::empty;
    use std::num::NonZeroU64;
    use std::path::Path;

    use super::*;
    use crate::protocol::Message;

    fn disk(operation: DiskOperation, path: &Path) -> Disk {
        Disk {
            operation,
            block: ByteSize::kib(4),
            bytes: ByteSize::kib(80),
            path: path.to_owned(),
            direct: false,
            depth: NonZeroU64::MIN,
        }
    }

    fn said(output: &[u8]) -> Vec<Message> {
        let text = std::str::from_utf8(output).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn every_file_is_counted_and_timed_and_no_file_is_left() {
        let place = tempfile::tempdir().unwrap();
        for (operation, moved) in [(DiskOperation::Create, 80), (DiskOperation::Unlink, 0)] {
            let mut output = Vec::new();
            run(&disk(operation, place.path()), &mut output, &mut empty()).unwrap();
            let [begin, end, Message::Latencies(latencies)] = &said(&output)[..] else {
                panic!("{output:?}");
            };
            assert_eq!(*begin, Message::Begin);
            let bytes = ByteSize::kib(moved);
            let operations = 20;
            assert_eq!(*end, Message::End { operations, bytes });
            assert_eq!(latencies.count(), 20);
            assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn every_file_has_a_block_of_its_own() {
        let place = tempfile::tempdir().unwrap();
        let disk = disk(DiskOperation::Create, place.path());
        let mut files = Files::open(&disk).unwrap();
        files.all(Files::create, &mut Latencies::new()).unwrap();
        let contents = |number: u64| fs::read(place.path().join(number.to_string())).unwrap();
        assert_eq!(contents(0).len(), 4096);
        assert_ne!(contents(0), contents(19));
    }

    #[test]
    fn a_file_that_exists_is_named_and_kept() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("7"), "mine").unwrap();
        let disk = disk(DiskOperation::Create, place.path());
        let error = run(&disk, &mut Vec::new(), &mut empty()).unwrap_err();
        let named = format!("making {} failed", place.path().join("7").display());
        assert_eq!(error.to_string(), named);
        let left: Vec<_> = fs::read_dir(place.path()).unwrap().flatten().collect();
        assert!(left.len() == 1 && fs::read(left[0].path()).unwrap() == b"mine");
    }

    #[test]
    fn a_path_that_is_no_directory_is_named() {
        let disk = disk(DiskOperation::Unlink, Path::new("/dev/null"));
        let error = run(&disk, &mut Vec::new(), &mut empty()).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /dev/null");
    }
}
