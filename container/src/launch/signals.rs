//! The signals that a launcher passes on to its program.

use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

use crate::sys::signal::{Caught, reset_action, wait};

/// The signals that are not passed on. Nobody can catch the first two. The kernel sends the others
/// for what the launcher itself has done, and a launcher that has gone wrong must end.
const NOT_FORWARDED: [Signal; 12] = [
    Signal::SIGKILL,
    Signal::SIGSTOP,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSYS,
    Signal::SIGPIPE,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
];

/// Signals that are held back until somebody waits for them and passes them on, as
/// [`Running::wait_forwarding`](crate::Running::wait_forwarding) does: all that a process can catch,
/// but those of the launcher's own faults.
///
/// Block them before the launch: then a signal that comes during the launch is passed on too, and
/// nothing of the container stays behind.
#[derive(Debug)]
pub struct ForwardedSignals {
    set: SigSet,
    mask_before: SigSet,
}

/// The signals could not be blocked, or not be waited for.
#[derive(Debug, thiserror::Error)]
#[error("cannot block the signals that are passed on to the program, or wait for them")]
pub struct BlockSignalsError {
    #[from]
    source: Errno,
}

impl ForwardedSignals {
    /// Blocks the signals to be forwarded, and `SIGCHLD`, on this thread. The thread should be the
    /// only one of the process.
    ///
    /// `SIGCHLD` gets its default action. A parent may hand the signal down ignored; then the
    /// signal would never come, and the program's end would be lost.
    ///
    /// # Errors
    /// Never on Linux.
    pub fn block() -> Result<Self, BlockSignalsError> {
        reset_action(Signal::SIGCHLD)?;
        let mut set = SigSet::all();
        for signal in NOT_FORWARDED {
            set.remove(signal);
        }
        let mut mask_before = SigSet::empty();
        pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&set), Some(&mut mask_before))?;
        Ok(Self { set, mask_before })
    }

    /// The mask of this thread before, which is the one that the program has to start with.
    pub fn mask_before(&self) -> SigSet {
        self.mask_before
    }

    /// Waits for the next signal.
    ///
    /// A key typed at the terminal and a resize of the window signal the terminal's whole foreground
    /// process group. So a signal of the kernel ([`Sender::Kernel`](crate::Sender)) has reached a
    /// program of the same group already, and must not be passed on: the program would get it
    /// twice.
    ///
    /// # Errors
    /// Never on Linux.
    pub fn wait(&self) -> Result<Caught, BlockSignalsError> {
        loop {
            if let Some(caught) = self.wait_until(None)? {
                return Ok(caught);
            }
        }
    }

    /// As [`ForwardedSignals::wait`]; `None` when no signal has come until `deadline`, if there is
    /// one.
    ///
    /// # Errors
    /// Never on Linux.
    pub fn wait_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Option<Caught>, BlockSignalsError> {
        Ok(wait(&self.set, deadline)?)
    }
}
