//! `page-fault`: touches fresh memory, one write a page.
//!
//! The memory is mapped before the timed window opens and touched inside it, so each operation is one
//! first-touch fault: in a microVM with demand-paged memory that is a fault of the guest's and one of the host's.

use std::io::{Read, Write};

use bytesize::ByteSize;

use super::memory::Reserved;
use super::{WorkloadError, timed};

pub(super) fn run(
    bytes: ByteSize,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    let mut memory = Reserved::new(bytes)?;
    timed(output, input, || Ok(memory.touch()))
}
