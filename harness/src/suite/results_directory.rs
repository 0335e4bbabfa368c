//! Where a run's results go: a directory of its own, in which nothing is ever overwritten.

use std::path::{Path, PathBuf};

use isobench_reports::{Output, WriteError};
use jiff::Timestamp;

/// The directory that the dated ones are made in.
const DEFAULT_PARENT: &str = "isobench-results";

/// Claims `wanted`, or a directory named after the date, before anything is measured.
///
/// # Errors
/// There are results in it, or it can't be written to.
pub fn claim(wanted: Option<&Path>, started: Timestamp) -> Result<Output, WriteError> {
    match wanted {
        Some(directory) => Output::claim(directory),
        None => Output::claim(&dated(started)),
    }
}

/// A name that no earlier run has.
fn dated(started: Timestamp) -> PathBuf {
    let name = started.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let parent = Path::new(DEFAULT_PARENT);
    let first = parent.join(&name);
    if !first.exists() {
        return first;
    }
    let mut number = 2;
    loop {
        let next = parent.join(format!("{name}-{number}"));
        if !next.exists() {
            return next;
        }
        number += 1;
    }
}
