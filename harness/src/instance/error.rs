//! What can go wrong with an instance.

use std::io;
use std::time::Duration;

use isobench_workloads::protocol::ProtocolError;

use super::MAX_OUTPUT;
use crate::instance::marks::MarkError;
use crate::instance::spawn::SpawnError;

/// An instance did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// The instance could not be started.
    #[error("the instance could not be started")]
    Spawn(#[from] SpawnError),
    /// A pipe to or from the instance failed.
    #[error("cannot exchange data with the instance")]
    Pipe(#[from] io::Error),
    /// The instance took too long.
    #[error("no {awaited} within {limit:?}")]
    Timeout {
        /// What the harness waited for.
        awaited: &'static str,
        /// How long the harness waited.
        limit: Duration,
    },
    /// The instance ended before it wrote what the harness waited for.
    #[error("ended with {ending} before its {awaited}{}", last_line(stderr))]
    EndedEarly {
        /// What the harness waited for.
        awaited: &'static str,
        /// How the instance ended, in words.
        ending: String,
        /// What the instance wrote to standard error.
        stderr: String,
    },
    /// The instance did its work and then failed.
    #[error("ended with {ending}{}", last_line(stderr))]
    Failed {
        /// How the instance ended, in words.
        ending: String,
        /// What the instance wrote to standard error.
        stderr: String,
    },
    /// The instance wrote far more than the protocol allows.
    #[error("flooded its standard output with more than {MAX_OUTPUT} bytes")]
    Flood,
    /// The instance closed its standard output and did not end.
    #[error("closed its standard output before its {awaited}")]
    Closed {
        /// What the harness waited for.
        awaited: &'static str,
    },
    /// The instance wrote a line that doesn't belong to the protocol.
    #[error("its standard output isn't the workload's protocol")]
    Protocol(#[from] ProtocolError),
    /// The instance wrote a message of the protocol at the wrong place.
    #[error("wrote `{message}` where its {awaited} was expected")]
    Unexpected {
        /// The message.
        message: String,
        /// What the harness waited for.
        awaited: &'static str,
    },
    /// The workload went on without waiting for the harness's signal.
    #[error("wrote `{message}` before it was told to begin")]
    TooEarly {
        /// The message.
        message: String,
    },
    /// The launcher's marks can't be read.
    #[error("its launcher's phase marks are wrong")]
    Marks(#[from] MarkError),
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

/// The last line of `stderr` after a colon; nothing if there is none.
fn last_line(stderr: &str) -> String {
    let line = stderr.trim().lines().last().unwrap_or_default();
    if line.is_empty() {
        String::new()
    } else {
        format!(": {line}")
    }
}
