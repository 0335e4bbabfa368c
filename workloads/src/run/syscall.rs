//! `syscall`: getppid(2) over and over, the cheapest system call there is.
//!
//! The kernel does next to nothing for it, so what is timed is the way in and out. Neither glibc nor musl
//! caches the answer, and no vDSO has it.

use std::hint::black_box;
use std::io::{Read, Write};
use std::num::NonZeroU64;

use super::{WorkloadError, timed};

pub(super) fn run(
    iterations: NonZeroU64,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    timed(output, input, || {
        for _ in 0..iterations.get() {
            black_box(nix::unistd::getppid());
        }
        Ok(iterations.get())
    })
}
