//! Printing to the terminal.

use std::fmt::Display;
use std::io::Write as _;

use isobench_reports::TableOptions;

/// Prints a line to standard output. A reader that has gone away (`isobench run | head`) is no
/// failure: the results are on disk.
pub fn say(text: impl Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints text that has its own line ends to standard output. A reader that has gone away is no
/// failure.
pub fn print(text: impl Display) {
    let _ = write!(std::io::stdout(), "{text}");
}

/// How tables are drawn: as wide as the terminal, or 80 columns for a reader that is no terminal.
pub fn table_options(terminal: bool) -> TableOptions {
    let width = console::Term::stdout().size_checked();
    TableOptions {
        width: width.map_or(80, |(_, columns)| columns),
        colour: terminal,
    }
}
