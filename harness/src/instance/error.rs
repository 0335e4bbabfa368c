//! What can go wrong with an instance.

use std::io;
use std::time::Duration;

use isobench_workloads::protocol::ProtocolError;

use super::MOST_OUTPUT;
use crate::instance::marks::MarkError;
use crate::instance::reap::Ending;
use crate::instance::spawn::SpawnError;

/// An instance did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It could not be started.
    #[error("the instance could not be started")]
    Spawn(#[from] SpawnError),
    /// A pipe failed.
    #[error("cannot exchange data with the instance")]
    Pipe(#[from] io::Error),
    /// It took too long.
    #[error("no {awaited} within {limit:?}")]
    Timeout {
        /// What was waited for.
        awaited: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// It ended before it said what it should.
    #[error("ended with {ending} before its {awaited}{}", said(stderr))]
    EndedEarly {
        /// What was waited for.
        awaited: &'static str,
        /// How it ended.
        ending: Ending,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It did its work and then failed.
    #[error("ended with {ending}{}", said(stderr))]
    Failed {
        /// How it ended.
        ending: Ending,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It wrote far more than the protocol has.
    #[error("flooded its standard output with more than {MOST_OUTPUT} bytes")]
    Flood,
    /// It closed its output and stayed.
    #[error("closed its standard output before its {awaited}")]
    Closed {
        /// What was waited for.
        awaited: &'static str,
    },
    /// It wrote a line that isn't of the protocol.
    #[error("its standard output isn't the workload's protocol")]
    Protocol(#[from] ProtocolError),
    /// It said something that doesn't belong there.
    #[error("said `{said}` where its {awaited} was due")]
    Unexpected {
        /// The message.
        said: String,
        /// What was waited for.
        awaited: &'static str,
    },
    /// Its launcher's marks can't be read.
    #[error("its launcher's phase marks are wrong")]
    Marks(#[from] MarkError),
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

fn said(stderr: &str) -> String {
    let line = stderr.trim().lines().last().unwrap_or_default();
    if line.is_empty() {
        String::new()
    } else {
        format!(": {line}")
    }
}
