//! `page-fault`: touches fresh memory, with one write a page.
//!
//! The memory is mapped before the timed window opens, and is touched inside the window. So each
//! operation is the fault of a first touch. In a microVM whose memory is paged on demand, that is a
//! fault of the guest and a fault of the host.

use std::io::{Read, Write};

use bytesize::ByteSize;

use super::memory::Reserved;
use super::{WorkloadError, timed};

/// Touches `bytes` bytes.
pub(super) fn run(
    bytes: ByteSize,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    let mut memory = Reserved::new(bytes)?;
    timed(output, input, || Ok(memory.touch()))
}
