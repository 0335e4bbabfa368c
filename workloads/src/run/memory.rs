//! Memory that `idle` and `page-fault` touch page by page.

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
