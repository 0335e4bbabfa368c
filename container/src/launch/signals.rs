//! The signals that a launcher passes on to its container.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};

use crate::sys::signal::reset_action;

/// The signals that are passed on.
const FORWARDED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
];

/// Signals that are held back until [`Running::wait_forwarding`](crate::Running::wait_forwarding)
/// passes them on.
///
/// Block them before the launch: then a signal that comes during the launch is passed on too, and
/// nothing of the container stays behind.
#[derive(Debug)]
pub struct ForwardedSignals {
    set: SigSet,
}

/// The signals could not be blocked.
#[derive(Debug, thiserror::Error)]
#[error("cannot block the signals that are passed on to the container")]
pub struct BlockSignalsError {
    #[from]
    source: Errno,
}

impl ForwardedSignals {
    /// Blocks the signals to be forwarded, and `SIGCHLD`, on this thread. The thread should be the
    /// only one of the process.
    ///
    /// `SIGCHLD` gets its default action. A parent may hand the signal down ignored; then the
    /// signal would never come, and the container's end would be lost.
    ///
    /// # Errors
    /// Never on Linux.
    pub fn block() -> Result<Self, BlockSignalsError> {
        reset_action(Signal::SIGCHLD)?;
        let mut set = SigSet::empty();
        for signal in FORWARDED {
            set.add(signal);
        }
        set.add(Signal::SIGCHLD);
        set.thread_block()?;
        Ok(Self { set })
    }

    /// The blocked signals.
    pub(super) fn set(&self) -> &SigSet {
        &self.set
    }
}
