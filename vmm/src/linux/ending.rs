//! How a Linux guest ended, and the message for each way: a user who looks for a fault has to tell
//! an exit, a panic, a reset, a triple fault and silence apart.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::RunError;

/// The text with which a kernel begins its last message when it panics.
const PANIC: &str = "Kernel panic - not syncing: ";
/// The exit code if the program gave none, as with docker and podman.
const NO_EXIT_CODE: u8 = 125;
/// The exit code of a program that writes to a pipe that nobody reads.
const BROKEN_PIPE: u8 = 128 + 13;

/// Called with how the guest ended, by the thread that finds out first. The callback ends the
/// process, so that no start waits until all threads are woken and joined.
pub type OnEnd = Arc<dyn Fn(Result<Ending, RunError>) + Send + Sync>;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The program ended, with this code.
    Exited(u8),
    /// The program wrote to a standard output that nobody reads any more.
    OutputClosed,
    /// The kernel halted the machine, or would have switched it off.
    Halted,
    /// The kernel reset the machine. The text is the kernel's last messages.
    Reset(String),
    /// A processor could not even raise a double fault. The text is the kernel's last messages.
    TripleFault(String),
    /// The guest took longer than its time limit.
    TimedOut {
        /// The time limit.
        limit: Duration,
        /// Whether `/init` had started.
        started: bool,
        /// The kernel's last messages.
        console: String,
    },
}

impl Ending {
    /// The exit code that a shell would show.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::OutputClosed => BROKEN_PIPE,
            Self::Halted | Self::Reset(_) | Self::TripleFault(_) | Self::TimedOut { .. } => {
                NO_EXIT_CODE
            }
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
            Self::Halted => write!(
                formatter,
                "the guest halted or switched off its machine without an exit code: a program called reboot(2), as \
                 halt and poweroff do"
            ),
            Self::Reset(console) => match panic_reason(console) {
                Some(reason) => write!(formatter, "the guest's kernel panicked: {reason}"),
                None => write!(
                    formatter,
                    "the guest reset its machine without an exit code: its kernel panicked silently, or a program called \
                     reboot(2){}",
                    last_line(console)
                ),
            },
            Self::TripleFault(console) => {
                write!(
                    formatter,
                    "a processor of the guest triple-faulted{}",
                    last_line(console)
                )
            }
            Self::TimedOut {
                limit,
                started,
                console,
            } => {
                let where_to = if *started {
                    "the program was still running"
                } else {
                    "its kernel had not reached /init"
                };
                write!(
                    formatter,
                    "the guest was stopped after its time limit of {} s: {where_to}{}",
                    limit.as_secs_f64(),
                    last_line(console)
                )
            }
        }
    }
}

/// The reason for a panic, if the kernel wrote one.
fn panic_reason(console: &str) -> Option<&str> {
    let (_, reason) = console.split_once(PANIC)?;
    reason.lines().next()
}

fn last_line(console: &str) -> String {
    let last = console.lines().rev().map(str::trim);
    match last.into_iter().find(|line| !line.is_empty()) {
        Some(line) => format!("; the last line on its console: {line}"),
        None => "; nothing on its console (--append loglevel=7 makes it talk)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_told_apart() {
        let console =
            "[    0.1] Kernel panic - not syncing: No working init found.\r\n[    0.1] CPU: 0\r\n";
        let timed_out = |started| Ending::TimedOut {
            limit: Duration::from_millis(1500),
            started,
            console: String::new(),
        };
        for (ending, words) in [
            (Ending::Exited(3), "exited with 3"),
            (
                Ending::Reset(console.to_owned()),
                "panicked: No working init found.",
            ),
            (
                Ending::Reset(String::new()),
                "reset its machine without an exit code",
            ),
            (Ending::Halted, "halted or switched off its machine"),
            (
                Ending::TripleFault("\nlast words\n\n".to_owned()),
                "triple-faulted; the last line on its console: last words",
            ),
            (
                timed_out(false),
                "limit of 1.5 s: its kernel had not reached /init",
            ),
            (timed_out(true), "the program was still running"),
        ] {
            let text = ending.to_string();
            assert!(text.contains(words), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
}
