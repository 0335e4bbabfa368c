//! What isobench's own programs write to their standard streams.
//!
//! `println!` and `eprintln!` panic where a stream can't be written to, which ends a program by
//! SIGABRT. A lint refuses them. Standard output is the answer: if it can't be written, the program
//! has failed. Standard error only accompanies the answer.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

/// Standard output can't be written to, for example because its disk is full.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutputError(#[source] io::Error);

/// Prints text that has its own line ends to standard output.
///
/// # Errors
/// [`OutputError`]. A reader that has gone away, as in `isobench run | head`, is no failure: it has
/// read what it wanted.
pub fn print(text: impl Display) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    // What is still in the buffer at the program's end would be lost without a word.
    match write!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(OutputError),
    }
}

/// Prints a line to standard output.
///
/// # Errors
/// As [`print`].
pub fn say(line: impl Display) -> Result<(), OutputError> {
    print(format_args!("{line}\n"))
}

/// Prints a line to standard error. If nobody can hear it, the exit code alone must tell.
pub fn tell(line: impl Display) {
    // One piece, so that lines of several processes don't mix.
    let line = format!("{line}\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether standard error is a terminal on which a line can be drawn over, as a bar is.
pub fn can_redraw() -> bool {
    io::stderr().is_terminal() && !console::is_dumb()
}
