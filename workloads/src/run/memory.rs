//! Memory that `idle`, `page-fault` and `serve` touch page by page.

use std::hint::black_box;
use std::mem::MaybeUninit;

use bytesize::ByteSize;

use super::{PAGE, WorkloadError};

/// Memory that is reserved and not yet touched. For the kernel it is nothing but address space.
pub(super) struct Reserved(Vec<u8>);

impl Reserved {
    /// Reserves `size` bytes.
    pub(super) fn new(size: ByteSize) -> Result<Self, WorkloadError> {
        let refused = || WorkloadError::Memory(size);
        let length = usize::try_from(size.as_u64()).map_err(|_| refused())?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(length).map_err(|_| refused())?;
        Ok(Self(memory))
    }

    /// Writes one byte to each page, and returns the number of pages.
    pub(super) fn touch(&mut self) -> u64 {
        let mut pages = 0;
        for byte in self.0.spare_capacity_mut().iter_mut().step_by(PAGE) {
            *black_box(byte) = MaybeUninit::new(1);
            pages += 1;
        }
        pages
    }
}

/// Memory that holds something.
pub(super) struct Touched(Vec<u8>);

impl Touched {
    /// Writes to all of `size` bytes.
    pub(super) fn new(size: ByteSize) -> Result<Self, WorkloadError> {
        let Reserved(mut memory) = Reserved::new(size)?;
        memory.resize(memory.capacity(), 1);
        Ok(Self(memory))
    }

    /// Reads one byte of each page of a part of so many `parts`, and returns the part's size.
    pub(super) fn read_part(&self, part: u64, parts: u64) -> ByteSize {
        let length = self.0.len() as u64;
        let at = |part: u64| usize::try_from(length * part / parts).unwrap_or(self.0.len());
        let bytes = &self.0[at(part)..at(part + 1)];
        for byte in bytes.iter().step_by(PAGE) {
            black_box(*byte);
        }
        ByteSize(bytes.len() as u64)
    }
}
