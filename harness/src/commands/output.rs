//! Printing to the terminal.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write as _};

use isobench_reports::{Style, TerminalOptions};

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

/// How text is written to standard output: as wide as the terminal and with colours, or 80 columns
/// wide and plain for a reader that is no terminal.
pub fn terminal_options() -> TerminalOptions {
    let width = console::Term::stdout().size_checked();
    let is_terminal = std::io::stdout().is_terminal();
    TerminalOptions {
        width: width.map_or(80, |(_, columns)| columns),
        style: if is_terminal {
            Style::Styled
        } else {
            Style::Plain
        },
    }
}
