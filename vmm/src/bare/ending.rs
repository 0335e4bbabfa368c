//! How a bare guest's program ended, or stopped.

use super::exception::Death;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The program exited with this code.
    Exited(u8),
    /// A signal ended the program. The number is the signal's; the program sent the signal to
    /// itself, or a system call raised it.
    Signalled(u8),
    /// The program has used up the guest's memory, where Linux would have killed it.
    OutOfMemory,
    /// A processor exception ended the program.
    Died(Death),
}

/// Why a program does not run any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The program has ended.
    Ended(Ending),
    /// The program asks for its first input, and has got none yet.
    AtInput,
}

impl Ending {
    /// The exit code that a shell would show.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::Signalled(signal) => 128 + *signal,
            // SIGKILL
            Self::OutOfMemory => 128 + 9,
            Self::Died(death) => 128 + death.signal.number(),
        }
    }
}
