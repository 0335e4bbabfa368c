//! `ready`: says that it is ready and exits.
//!
//! Start-up is measured from the host's spawn to the arrival of this line, so there must be nothing
//! before it that is not the target's own doing: one write of a constant.

use std::io::Write;

use super::{WorkloadError, send};
use crate::protocol::Message;

pub(super) fn run(output: &mut dyn Write) -> Result<(), WorkloadError> {
    send(&Message::Ready, output)
}
