//! How a program ended.

use rustix::process::WaitStatus;

/// The number of `SIGKILL` (signal(7)).
const SIGKILL: u8 = 9;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramEnd {
    /// The program exited with this code.
    Exited(u8),
    /// The signal of this number ended the program.
    Signaled(u8),
}

impl ProgramEnd {
    /// What is known of a program that went away without a word: it was killed.
    pub(crate) const KILLED: Self = Self::Signaled(SIGKILL);

    /// The end that a wait status of waitpid(2) tells, or `None` if the status tells of a stop.
    pub(crate) fn from_wait_status(status: WaitStatus) -> Option<Self> {
        if let Some(code) = status.exit_status() {
            return u8::try_from(code).ok().map(Self::Exited);
        }
        let signal = status.terminating_signal()?;
        u8::try_from(signal).ok().map(Self::Signaled)
    }

    /// The exit code that a shell gives for such an end: the program's own, or 128 + the signal's
    /// number.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128_u8.saturating_add(signal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_a_shells() {
        assert_eq!(ProgramEnd::Exited(7).exit_code(), 7);
        assert_eq!(ProgramEnd::KILLED.exit_code(), 137);
    }
}
