//! `cpu`: a chain of integer operations in registers, each of which needs the result of the one
//! before.
//!
//! Nothing here leaves the processor, so every target should need the same time. A target that
//! needs more time shares its processor with something.

use std::hint::black_box;
use std::io::{Read, Write};
use std::num::NonZeroU64;

use super::{WorkloadError, timed};

/// Does `iterations` steps of the chain.
pub(super) fn run(
    iterations: NonZeroU64,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    timed(output, input, || {
        let mut state = black_box(0x9e37_79b9_7f4a_7c15);
        for _ in 0..iterations.get() {
            state = step(state);
        }
        black_box(state);
        Ok(iterations.get())
    })
}

/// One step of the chain: xorshift64 (Marsaglia 2003) and a multiplication.
pub(super) fn step(mut state: u64) -> u64 {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
