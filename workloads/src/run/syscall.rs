//! `syscall`: makes getppid(2), the cheapest system call, again and again.
//!
//! The kernel does next to nothing for the call, so the time is that of the way into the kernel and
//! back. Neither glibc nor musl remembers the answer, and no vDSO has it.

use std::hint::black_box;
use std::io::{Read, Write};
use std::num::NonZeroU64;

use super::{WorkloadError, timed};

/// Makes `iterations` system calls.
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
