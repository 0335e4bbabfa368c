//! How a guest ended, and the message for each way.

use std::fmt;

use isobench_workloads::guest_init::frames::FrameError;

/// The text with which a kernel begins its last message when it panics.
const PANIC: &str = "Kernel panic - not syncing: ";
/// The exit code if the program gave none, as with docker and podman.
const NO_EXIT_CODE: u8 = 125;
/// The exit code of a program that writes to a pipe that nobody reads.
const BROKEN_PIPE: u8 = 128 + 13;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The program ended, with this code.
    Exited(u8),
    /// The program wrote to a standard output that nobody reads any more.
    OutputClosed,
    /// The kernel's process ended, and the program had given no exit code. The text is the kernel's
    /// last messages.
    KernelEnded(String),
    /// The guest sent what `/init` never sends.
    BadFrame(FrameError),
}

impl Ending {
    /// The exit code that a shell would show.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::OutputClosed => BROKEN_PIPE,
            Self::KernelEnded(_) | Self::BadFrame(_) => NO_EXIT_CODE,
        }
    }

    /// Whether the program ended by itself. Such an ending needs no message.
    pub const fn is_orderly(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::OutputClosed)
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "the program exited with {code}"),
            Self::OutputClosed => write!(formatter, "nobody reads standard output any more"),
            Self::KernelEnded(messages) => match reason(messages) {
                Some(Reason::Panic(reason)) => {
                    write!(formatter, "the guest's kernel panicked: {reason}")
                }
                Some(Reason::LastLine(line)) => write!(
                    formatter,
                    "the guest's kernel ended without an exit code of the program; the kernel's last message: {line}"
                ),
                None => write!(
                    formatter,
                    "the guest's kernel ended without an exit code of the program: a program called reboot(2), or a process \
                     of the kernel was killed"
                ),
            },
            Self::BadFrame(error) => {
                write!(
                    formatter,
                    "the guest broke the protocol of its line: {error}"
                )
            }
        }
    }
}

/// Why a kernel ended, as far as its messages tell.
enum Reason<'m> {
    Panic(&'m str),
    LastLine(&'m str),
}

fn reason(messages: &str) -> Option<Reason<'_>> {
    let panic = messages.split_once(PANIC);
    if let Some(reason) = panic.and_then(|(_, reason)| reason.lines().next()) {
        return Some(Reason::Panic(reason));
    }
    let mut lines = messages.lines().rev().map(str::trim);
    let last = lines.find(|line| !line.is_empty())?;
    Some(Reason::LastLine(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_told_apart() {
        let panic = "Run /init\r\nKernel panic - not syncing: No working init found.\r\n";
        for (ending, words) in [
            (Ending::Exited(3), "exited with 3"),
            (
                Ending::KernelEnded(panic.to_owned()),
                "panicked: No working init found.",
            ),
            (
                Ending::KernelEnded("reboot: Power down\n\n".to_owned()),
                "last message: reboot: Power down",
            ),
            (
                Ending::KernelEnded(String::new()),
                "a program called reboot(2)",
            ),
        ] {
            let text = ending.to_string();
            assert!(text.contains(words), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
}
