//! What can go wrong with a timed command.

use std::io;
use std::time::Duration;

use crate::instance::marks::MarkError;
use crate::instance::spawn::SpawnError;

/// How many of the last lines of standard error stand in a message.
const LINES: usize = 3;
/// The longest line in a message, in characters.
const LONGEST: usize = 160;

/// A timed command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum TimedError {
    /// The command could not be started.
    #[error("the command could not be started")]
    Spawn(#[from] SpawnError),
    /// A pipe to or from the command failed.
    #[error("cannot read what the command writes")]
    Pipe(#[from] io::Error),
    /// The launcher's marks can't be read.
    #[error("its launcher's phase marks are wrong")]
    Marks(#[from] MarkError),
    /// The command's time is up.
    #[error("did not end within {limit:?}")]
    Timeout {
        /// How long the command might take.
        limit: Duration,
    },
    /// The command's time was up before the program was ready.
    #[error("was not ready ({condition}) within {limit:?}{}", last_lines(stderr))]
    NotReady {
        /// What the harness waited for.
        condition: String,
        /// How long the command might take.
        limit: Duration,
        /// The last that the command wrote to standard error.
        stderr: String,
    },
    /// The program was ready, and went on until its time was up.
    #[error(
        "was ready, but did not end within {limit:?}; add --stop to have it stopped once it is ready"
    )]
    NotEnded {
        /// How long the command might take.
        limit: Duration,
    },
    /// The command ended before the program was ready.
    #[error(
        "ended with {ending} before it was ready ({condition}){}",
        last_lines(stderr)
    )]
    EndedEarly {
        /// How the command ended, in words.
        ending: String,
        /// What the harness waited for.
        condition: String,
        /// The last that the command wrote to standard error.
        stderr: String,
    },
    /// The command ended with another exit code than 0, or by a signal.
    #[error("ended with {ending}{}", last_lines(stderr))]
    Failed {
        /// How the command ended, in words.
        ending: String,
        /// The last that the command wrote to standard error.
        stderr: String,
    },
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

/// The last lines of `stderr` after a colon; nothing if there are none.
fn last_lines(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    let lines: Vec<String> = lines
        .map(|line| {
            let printable = line.chars().filter(|c| !c.is_control());
            printable.take(LONGEST).collect()
        })
        .collect();
    let last = lines.len().saturating_sub(LINES);
    if lines.is_empty() {
        String::new()
    } else {
        format!(": {}", lines[last..].join(" | "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_last_lines_of_standard_error() {
        assert_eq!(last_lines(" \n\n"), "");
        assert_eq!(last_lines("a\nb\n\nc\r\nd\x07e\n"), ": b | c | de");
        assert_eq!(last_lines(&"x".repeat(500)).len(), 2 + LONGEST);
    }
}
