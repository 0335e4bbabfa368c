//! How a Linux guest ended, and how that is told: an exit, a panic, a reset, a triple fault and silence are
//! five different things to whoever looks for the fault.

use std::fmt;
use std::time::Duration;

/// What kernels say when they panic.
const PANIC: &str = "Kernel panic - not syncing: ";
/// Exit code where there is none of the program's, as with docker and podman.
const NO_EXIT_CODE: u8 = 125;
/// The exit code of a program that writes to a pipe that nobody reads.
const BROKEN_PIPE: u8 = 128 + 13;

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The program ended, with this code.
    Exited(u8),
    /// The program wrote to a standard output that nobody reads any more.
    WroteToNobody,
    /// The kernel reset the machine, and said this last.
    Reset(String),
    /// A processor could not even raise a double fault, and the kernel said this last.
    TripleFault(String),
    /// It took longer than it may.
    TimedOut {
        /// The limit.
        limit: Duration,
        /// Whether `/init` had started.
        started: bool,
        /// The last that the kernel said.
        console: String,
    },
}

impl Ended {
    /// The exit code that a shell would show.
    pub const fn code(&self) -> u8 {
        match self {
            Self::Exited(code) => *code,
            Self::WroteToNobody => BROKEN_PIPE,
            Self::Reset(_) | Self::TripleFault(_) | Self::TimedOut { .. } => NO_EXIT_CODE,
        }
    }

    /// Whether the program ended by itself, so that there is nothing to explain.
    pub const fn is_orderly(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::WroteToNobody)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(formatter, "the program exited with {code}"),
            Self::WroteToNobody => write!(formatter, "nobody reads standard output any more"),
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

/// Why the kernel panicked, if it said so.
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
        let timed_out = |started| Ended::TimedOut {
            limit: Duration::from_millis(1500),
            started,
            console: String::new(),
        };
        for (ended, words) in [
            (Ended::Exited(3), "exited with 3"),
            (
                Ended::Reset(console.to_owned()),
                "panicked: No working init found.",
            ),
            (Ended::Reset(String::new()), "without an exit code"),
            (
                Ended::TripleFault("\nlast words\n\n".to_owned()),
                "triple-faulted; the last line on its console: last words",
            ),
            (
                timed_out(false),
                "limit of 1.5 s: its kernel had not reached /init",
            ),
            (timed_out(true), "the program was still running"),
        ] {
            let text = ended.to_string();
            assert!(text.contains(words), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
    }
}
