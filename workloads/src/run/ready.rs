//! `ready`: says that it is ready, and exits.
//!
//! A start-up is measured from the host's spawn to the arrival of this line. So nothing may come
//! before the line that is not the target's own work: one write of a constant. The program's entry
//! point does the same in assembly before the C library starts (the harness's
//! `bin/isobench-workload.rs`). This module serves `ready --libc`, and a write that failed in the
//! entry point.

use std::io::Write;

use super::{WorkloadError, send};
use crate::protocol::Message;

/// Says that the workload is ready.
pub(super) fn run(output: &mut dyn Write) -> Result<(), WorkloadError> {
    send(&Message::Ready, output)
}
