//! `ready`: says that it is ready and exits.
//!
//! Start-up is measured from the host's spawn to the arrival of this line, so there must be nothing
//! before it that is not the target's own doing: one write of a constant. The program's entry point does the
//! same in assembly before the C library starts (harness/src/bin/workload.rs); this is for `ready --libc`, and for a
//! write that failed there.

use std::io::Write;

use super::{WorkloadError, send};
use crate::protocol::Message;

pub(super) fn run(output: &mut dyn Write) -> Result<(), WorkloadError> {
    send(&Message::Ready, output)
}
