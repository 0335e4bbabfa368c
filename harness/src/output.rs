//! Where a run's results go: a directory of its own, in which nothing is ever overwritten.

use std::fmt::Display;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use isobench_reports::{Output, TableOptions, WriteError};
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

/// Prints to standard output. A reader that has gone away (`isobench run | head`) is no failure: the results
/// are on disk.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints text that has its own line ends to standard output; a reader that has gone away is no failure.
pub fn print(text: impl Display) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// How tables are drawn on the terminal, or for a reader that is none.
pub fn table_options(terminal: bool) -> TableOptions {
    let width = console::Term::stdout().size_checked();
    TableOptions {
        width: width.map_or(80, |(_, columns)| columns),
        colour: terminal,
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
