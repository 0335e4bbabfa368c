//! The bytes that `disk` moves, and the offsets that it moves them to. Both come from a generator
//! with a fixed seed.

use bytesize::ByteSize;

use super::{PAGE, WorkloadError};

/// One block of incompressible bytes. It is aligned to a page, as `O_DIRECT` needs it.
pub(super) struct Block {
    memory: Vec<u8>,
    /// Where the block begins in the memory.
    start: usize,
    /// Bytes of the block.
    length: usize,
}

impl Block {
    /// A block of this size.
    pub(super) fn new(block: ByteSize) -> Result<Self, WorkloadError> {
        let length = usize::try_from(block.as_u64()).map_err(|_| WorkloadError::Memory(block))?;
        let mut memory = vec![0; length + PAGE];
        let start = memory.as_ptr().align_offset(PAGE);
        let mut random = Random::new();
        for chunk in memory.chunks_mut(size_of::<u64>()) {
            let bytes = random.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(Self {
            memory,
            start,
            length,
        })
    }

    /// The bytes of the block.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.length]
    }

    /// The sum of the first word of each page. So every page of the data is read, and little else
    /// is done.
    pub(super) fn checksum(&mut self) -> u64 {
        let pages = self.bytes_mut().chunks(PAGE);
        pages
            .filter_map(|page| page.first_chunk())
            .fold(0, |sum, word| {
                u64::wrapping_add(sum, u64::from_le_bytes(*word))
            })
    }

    /// Makes each page different from all pages written before. Storage that finds equal blocks
    /// would otherwise store nothing.
    pub(super) fn stamp(&mut self, offset: u64) {
        for (page, number) in self.bytes_mut().chunks_mut(PAGE).zip(0_u64..) {
            if let Some(word) = page.first_chunk_mut() {
                *word = (offset + number)
                    .wrapping_mul(Random::MULTIPLIER)
                    .to_le_bytes();
            }
        }
    }
}

/// The generator xorshift64* (Vigna 2016) with a constant seed: offsets and bytes are the same in
/// every target.
pub(super) struct Random(u64);

impl Random {
    const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
    const MULTIPLIER: u64 = 0x2545_f491_4f6c_dd1d;

    /// The generator at its beginning.
    pub(super) const fn new() -> Self {
        Self(Self::SEED)
    }

    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(Self::MULTIPLIER)
    }

    /// A number from zero to `bound - 1`: the upper half of a product (Lemire 2019).
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_block_is_aligned_for_direct_input_and_output() {
        for size in [512, 4096, 1 << 20] {
            let mut block = Block::new(ByteSize(size)).unwrap();
            assert_eq!(block.bytes_mut().as_ptr().addr() % PAGE, 0);
            assert_eq!(block.bytes_mut().len() as u64, size);
        }
    }

    #[test]
    fn each_page_written_differs_from_every_other() {
        let mut block = Block::new(ByteSize::kib(8)).unwrap();
        let mut pages = std::collections::HashSet::new();
        for offset in (0..8).map(|index| index * 8192) {
            block.stamp(offset);
            pages.extend(block.bytes_mut().chunks(PAGE).map(<[u8]>::to_vec));
        }
        assert_eq!(pages.len(), 16);
    }

    #[test]
    fn the_checksum_reads_every_page() {
        let mut block = Block::new(ByteSize::kib(16)).unwrap();
        let before = block.checksum();
        block.bytes_mut()[3 * PAGE] ^= 1;
        assert_ne!(block.checksum(), before);
    }

    #[test]
    fn the_offsets_are_the_same_each_time_and_spread_evenly() {
        let draw = || {
            let mut random = Random::new();
            (0..4000).map(|_| random.below(4)).collect::<Vec<_>>()
        };
        assert_eq!(draw(), draw());
        for number in 0..4 {
            let hits = draw().into_iter().filter(|drawn| *drawn == number).count();
            assert!((900..1100).contains(&hits), "{number} came {hits} times");
        }
    }

    proptest! {
        #[test]
        fn a_random_number_is_below_its_bound(bound in 1_u64.., draws in 1..50) {
            let mut random = Random::new();
            for _ in 0..draws {
                prop_assert!(random.below(bound) < bound);
            }
        }
    }
}
