#![expect(unsafe_code, reason = "maps pages of files over guest memory")]
//! A reader that puts a file into guest memory without a copy: it maps whole pages over the memory
//! into which it should read them.
//!
//! An image can be gigabytes, which its guest reads once to unpack them. Mapped pages cost no time
//! for a copy and no memory of the guest's own: all guests share the pages that the host's page
//! cache holds anyway, until a guest writes to a page (mmap(2), `MAP_PRIVATE`). A page is mapped if
//! its address and its offset in the file agree modulo a page. All other bytes are copied.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;

use vm_memory::bitmap::BitmapSlice;
use vm_memory::{
    GuestMemoryBackend as _, GuestMemoryRegion as _, ReadVolatile, VolatileMemoryError,
    VolatileSlice,
};

use crate::memory::{Memory, PAGE, fill};

/// A file that is put into `memory`.
///
/// The file must not become shorter while a guest runs: an access to a page that is gone ends the
/// guest (`SIGBUS`).
#[derive(Debug)]
pub struct MappedFile<'f> {
    file: &'f File,
    length: u64,
    memory: &'f Memory,
}

impl<'f> MappedFile<'f> {
    /// Makes a reader that begins at the position of `file`.
    ///
    /// # Errors
    /// The host can't tell the file's length.
    pub fn new(file: &'f File, memory: &'f Memory) -> io::Result<Self> {
        let length = file.metadata()?.len();
        Ok(Self {
            file,
            length,
            memory,
        })
    }

    /// Calls [`Self::map`] with the file's position, and moves the position on.
    fn map_next<B: BitmapSlice>(&self, into: &VolatileSlice<B>) -> io::Result<u64> {
        let mut file = self.file;
        let offset = file.stream_position()?;
        let mapped = self.map(into, offset)?;
        file.seek(SeekFrom::Start(offset + mapped))?;
        Ok(mapped)
    }

    /// Maps whole pages of the file over the start of `into`, and returns their length in bytes.
    /// The result is zero if `into` is not guest memory, doesn't start on a page, or the file has
    /// no whole page at `offset`.
    fn map<B: BitmapSlice>(&self, into: &VolatileSlice<B>, offset: u64) -> io::Result<u64> {
        let host = into.ptr_guard_mut().as_ptr();
        let left = self.length.saturating_sub(offset);
        let length = left.min(into.len() as u64) / PAGE * PAGE;
        let is_aligned = (host as u64).is_multiple_of(PAGE) && offset.is_multiple_of(PAGE);
        if !is_aligned || length == 0 || !self.is_guest_memory(host, length) {
            return Ok(0);
        }
        // SAFETY: MAP_FIXED replaces whole pages of guest memory (both checked above) and nothing
        // else. Guest memory is the VMM's own mapping, to which no Rust reference leads. The new
        // mapping is private: no write of the guest's reaches the file.
        let mapped = unsafe {
            libc::mmap(
                host.cast(),
                usize::try_from(length).map_err(io::Error::other)?,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_FIXED,
                self.file.as_raw_fd(),
                libc::off_t::try_from(offset).map_err(io::Error::other)?,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(length)
    }

    /// Maps the pages at the start of `into` that can be mapped, or copies up to the next one.
    /// Returns the length in bytes, which is zero at the file's end.
    fn read_some<B: BitmapSlice>(
        &self,
        into: &VolatileSlice<B>,
    ) -> Result<usize, VolatileMemoryError> {
        let failed = VolatileMemoryError::IOError;
        let mapped = self.map_next(into).map_err(failed)?;
        if mapped > 0 {
            return usize::try_from(mapped).map_err(|error| failed(io::Error::other(error)));
        }
        let mut file = self.file;
        let offset = file.stream_position().map_err(failed)? % PAGE;
        let host = into.ptr_guard_mut().as_ptr() as u64;
        let rest = usize::try_from(PAGE - offset).unwrap_or(usize::MAX);
        let most = if host % PAGE == offset {
            rest
        } else {
            usize::MAX
        };
        file.read_volatile(&mut into.subslice(0, most.min(into.len()))?)
    }

    fn is_guest_memory(&self, host: *const u8, length: u64) -> bool {
        self.memory.iter().any(|region| {
            let start = region.host_base() as u64;
            let offset = (host as u64).checked_sub(start);
            offset.is_some_and(|offset| offset + length <= region.len())
        })
    }
}

impl ReadVolatile for MappedFile<'_> {
    fn read_volatile<B: BitmapSlice>(
        &mut self,
        into: &mut VolatileSlice<B>,
    ) -> Result<usize, VolatileMemoryError> {
        fill(into, |rest| self.read_some(rest))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use proptest::prelude::*;
    use vm_memory::{Bytes as _, GuestAddress};

    use super::*;
    use crate::memory::map;

    /// A file of `length` bytes in which no two pages are equal.
    fn file_of(length: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..length)
            .map(|at| u8::try_from((at / 7 + at / 4096) % 251).unwrap())
            .collect();
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&bytes, 0).unwrap();
        (file, bytes)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn memory_holds_what_the_file_does_and_nothing_around_it(
            page in 0..4_u64, inside in prop_oneof![Just(0_u64), 0..4096_u64],
            offset in prop_oneof![Just(0_u64), Just(4096), 0..9000_u64], length in 0..20_000_usize,
        ) {
            let memory = map(&[(0, 16 << 20)]).unwrap();
            let (file, bytes) = file_of(30_000);
            let mut reader = MappedFile::new(&file, &memory).unwrap();
            (&file).seek(SeekFrom::Start(offset)).unwrap();
            let at = 4096 * (page + 1) + inside;
            memory
                .read_exact_volatile_from(GuestAddress(at), &mut reader, length)
                .unwrap();
            let from = usize::try_from(offset).unwrap();
            let mut found = vec![0; length + 2];
            memory.read_slice(&mut found, GuestAddress(at - 1)).unwrap();
            prop_assert_eq!(&found[1..=length], &bytes[from..from + length]);
            prop_assert_eq!((found[0], found[length + 1]), (0, 0));
            prop_assert_eq!((&file).stream_position().unwrap(), offset + length as u64);
        }
    }

    #[test]
    fn what_a_guest_writes_stays_out_of_the_file() {
        let memory = map(&[(0, 16 << 20)]).unwrap();
        let (file, bytes) = file_of(8192);
        let mut reader = MappedFile::new(&file, &memory).unwrap();
        (&file).rewind().unwrap();
        let at = GuestAddress(0x10_0000);
        memory
            .read_exact_volatile_from(at, &mut reader, 8192)
            .unwrap();
        memory.write_slice(&[0xaa; 8192], at).unwrap();
        let mut stored = vec![0; 8192];
        file.read_exact_at(&mut stored, 0).unwrap();
        assert_eq!(stored, bytes);
    }

    #[test]
    fn a_file_that_ends_too_early_is_an_error() {
        let memory = map(&[(0, 16 << 20)]).unwrap();
        let (file, _) = file_of(5000);
        let mut reader = MappedFile::new(&file, &memory).unwrap();
        (&file).rewind().unwrap();
        let read = memory.read_exact_volatile_from(GuestAddress(0), &mut reader, 5001);
        read.unwrap_err();
    }

    #[test]
    fn memory_that_is_not_the_guest_s_is_never_mapped_over() {
        let memory = map(&[(0, 16 << 20)]).unwrap();
        let other = map(&[(0, 16 << 20)]).unwrap();
        let (file, bytes) = file_of(8192);
        let mut reader = MappedFile::new(&file, &memory).unwrap();
        let slice = other.get_slice(GuestAddress(0), 8192).unwrap();
        assert_eq!(reader.map(&slice, 0).unwrap(), 0);
        (&file).rewind().unwrap();
        other
            .read_exact_volatile_from(GuestAddress(0), &mut reader, 8192)
            .unwrap();
        let mut copied = vec![0; 8192];
        other.read_slice(&mut copied, GuestAddress(0)).unwrap();
        assert_eq!(copied, bytes);
    }
}
