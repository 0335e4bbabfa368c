//! A reader of a file for fresh guest memory. The file's holes are skipped, since fresh memory
//! holds zeros already.
//!
//! A `vmlinux` has holes of megabytes, since its sections begin at huge pages. A kernel is copied
//! and not mapped, although most of it comes from the page cache. As it boots, a kernel patches
//! nearly every page of its own code. Each such page of a private mapping takes three page faults
//! of the guest's, each a VM exit, while copies in huge pages take one exit for 2 MiB.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use vm_memory::bitmap::BitmapSlice;
use vm_memory::{ReadVolatile, VolatileMemoryError, VolatileSlice};

use crate::memory::fill;

/// A reader of a file for memory that holds only zeros.
#[derive(Debug)]
pub struct SparseFile<'f>(pub &'f File);

/// What a file has from some offset on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    /// Data up to this offset.
    Data(u64),
    /// A hole up to this offset.
    Hole(u64),
}

impl SparseFile<'_> {
    /// What the file has at `at` (lseek(2), `SEEK_DATA` and `SEEK_HOLE`). At the file's end the
    /// result is an empty hole.
    fn extent(&self, at: u64) -> io::Result<Extent> {
        let from = i64::try_from(at).map_err(io::Error::other)?;
        let place = |offset: i64| u64::try_from(offset).map_err(io::Error::other);
        let extent = match lseek(self.0, from, Whence::SeekData) {
            Ok(data) if data == from => {
                Extent::Data(place(lseek(self.0, from, Whence::SeekHole)?)?)
            }
            Ok(data) => Extent::Hole(place(data)?),
            // No data follows.
            Err(Errno::ENXIO) => Extent::Hole(self.0.metadata()?.len()),
            Err(error) => return Err(error.into()),
        };
        Ok(extent)
    }

    /// Reads or skips the extent at the file's position, and returns its length, which is zero at
    /// the file's end.
    fn read_extent<B: BitmapSlice>(
        &self,
        into: &VolatileSlice<B>,
    ) -> Result<usize, VolatileMemoryError> {
        let failed = VolatileMemoryError::IOError;
        let mut file = self.0;
        let at = file.stream_position().map_err(failed)?;
        let up_to = |end: u64| {
            let length = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            length.min(into.len())
        };
        match self.extent(at).map_err(failed)? {
            Extent::Hole(end) => {
                let skipped = up_to(end);
                let behind = SeekFrom::Start(at + skipped as u64);
                file.seek(behind).map_err(failed)?;
                Ok(skipped)
            }
            Extent::Data(end) => {
                file.seek(SeekFrom::Start(at)).map_err(failed)?;
                file.read_volatile(&mut into.subslice(0, up_to(end))?)
            }
        }
    }
}

impl ReadVolatile for SparseFile<'_> {
    fn read_volatile<B: BitmapSlice>(
        &mut self,
        into: &mut VolatileSlice<B>,
    ) -> Result<usize, VolatileMemoryError> {
        fill(into, |rest| self.read_extent(rest))
    }
}

impl Read for SparseFile<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Seek for SparseFile<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use proptest::prelude::*;
    use vm_memory::{Bytes as _, GuestAddress};

    use super::*;
    use crate::memory::map;

    /// Pages in the files below.
    const PAGES: usize = 8;

    /// A file of `PAGES` pages and `rest` bytes, and the file's contents. The pages that `written`
    /// names are data, and the others are holes.
    fn file_with(written: [bool; PAGES], rest: usize) -> (File, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0; PAGES * 4096 + rest];
        file.set_len(bytes.len() as u64).unwrap();
        for (page, _) in written.iter().enumerate().filter(|(_, written)| **written) {
            let content = &mut bytes[page * 4096..][..4096];
            content.fill(u8::try_from(page + 1).unwrap());
            file.write_all_at(content, page as u64 * 4096).unwrap();
        }
        (file, bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn memory_holds_what_the_file_does_and_nothing_around_it(
            written: [bool; PAGES], rest in 0..4096_usize, offset in 0..9000_usize, at in 1..9000_u64, short in 0..9000_usize,
        ) {
            let memory = map(&[(0, 16 << 20)]).unwrap();
            let (file, bytes) = file_with(written, rest);
            let length = bytes.len() - offset - short;
            let mut reader = SparseFile(&file);
            reader.seek(SeekFrom::Start(offset as u64)).unwrap();
            memory
                .read_exact_volatile_from(GuestAddress(at), &mut reader, length)
                .unwrap();
            let mut found = vec![0; length + 2];
            memory.read_slice(&mut found, GuestAddress(at - 1)).unwrap();
            prop_assert_eq!(&found[1..=length], &bytes[offset..][..length]);
            prop_assert_eq!((found[0], found[length + 1]), (0, 0));
            prop_assert_eq!(reader.stream_position().unwrap(), (offset + length) as u64);
        }
    }

    #[test]
    fn a_hole_is_skipped() {
        let (file, _) = file_with([true, false, false, true, false, false, false, false], 0);
        let reader = SparseFile(&file);
        let place = |at| reader.extent(at).unwrap();
        assert_eq!(place(0), Extent::Data(4096));
        assert_eq!(place(4097), Extent::Hole(3 * 4096));
        assert_eq!(place(5 * 4096), Extent::Hole(8 * 4096));
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let memory = map(&[(0, 16 << 20)]).unwrap();
        let (file, bytes) = file_with([false; PAGES], 5);
        let mut reader = SparseFile(&file);
        reader.rewind().unwrap();
        let read = memory.read_exact_volatile_from(GuestAddress(0), &mut reader, bytes.len() + 1);
        read.unwrap_err();
    }
}
