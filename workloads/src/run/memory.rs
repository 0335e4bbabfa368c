//! Memory that is touched a page at a time, for `idle` and `page-fault`.

use std::hint::black_box;
use std::mem::MaybeUninit;

use bytesize::ByteSize;

use super::{PAGE, WorkloadError};

/// Memory reserved and not yet touched: address space only, as far as the kernel is concerned.
pub(super) struct Reserved(Vec<u8>);

impl Reserved {
    pub(super) fn new(size: ByteSize) -> Result<Self, WorkloadError> {
        let refused = || WorkloadError::Memory(size);
        let length = usize::try_from(size.as_u64()).map_err(|_| refused())?;
        let mut memory = Vec::new();
        memory.try_reserve_exact(length).map_err(|_| refused())?;
        Ok(Self(memory))
    }

    /// Writes one byte to each page and returns how many pages that were.
    pub(super) fn touch(&mut self) -> u64 {
        let mut pages = 0;
        for byte in self.0.spare_capacity_mut().iter_mut().step_by(PAGE) {
            *black_box(byte) = MaybeUninit::new(1);
            pages += 1;
        }
        pages
    }
}
