//! The directory for a run's results. Results in a directory are never overwritten.

use std::path::{Path, PathBuf};

use isobench_reports::{Output, WriteError};
use jiff::Timestamp;

/// The directory in which the directories with dates are made.
const DEFAULT_PARENT: &str = "isobench-results";

/// Claims the directory `wanted`, or a directory named after the date, before anything is measured.
///
/// # Errors
/// The directory holds results already, or the user may not write to it.
pub fn claim(wanted: Option<&Path>, started: Timestamp) -> Result<Output, WriteError> {
    match wanted {
        Some(directory) => Output::claim(directory),
        None => Output::claim(&new_dated_directory(started)),
    }
}

/// The path of a directory that is named after the date and doesn't exist.
fn new_dated_directory(started: Timestamp) -> PathBuf {
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
