//! The signals that a program starts with.

use nix::sys::signal::SigSet;

/// What a program starts with of signals, beside what the launcher's process has: every signal that
/// the launcher ignores is ignored by the program, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramSignals {
    /// The signals that the program finds blocked.
    pub blocked: SigSet,
    /// Whether the program finds `SIGPIPE` ignored. Rust's runtime ignores it in the launcher, which
    /// says nothing about the program.
    pub ignores_sigpipe: bool,
    /// Whether the program finds `SIGCHLD` ignored. The launcher itself needs the signal.
    pub ignores_sigchld: bool,
}

impl Default for ProgramSignals {
    /// No signal is blocked, and neither of the two is ignored.
    fn default() -> Self {
        Self {
            blocked: SigSet::empty(),
            ignores_sigpipe: false,
            ignores_sigchld: false,
        }
    }
}
