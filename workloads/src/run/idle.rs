//! `idle`: touches memory, says that it is ready, and blocks until standard input closes.
//!
//! The memory of one idle instance is measured from outside. The number of touched bytes is known
//! exactly and is subtracted, so that the target's overhead is left. Touching shows that a target
//! hands out real memory, and that it does not count a guest's memory as its own.

use std::io::{self, Read, Write};

use bytesize::ByteSize;

use super::memory::Reserved;
use super::{WorkloadError, send};
use crate::protocol::Message;

/// Touches `touch` bytes, and waits for the end of `input`.
pub(super) fn run(
    touch: ByteSize,
    output: &mut dyn Write,
    input: &mut dyn Read,
) -> Result<(), WorkloadError> {
    let mut memory = Reserved::new(touch)?;
    memory.touch();
    send(&Message::Ready, output)?;
    let mut ignored = [0; 64];
    loop {
        match input.read(&mut ignored) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(WorkloadError::Input(error)),
        }
    }
}
