//! The static workload that runs in every target, and the line protocol that it speaks.
//!
//! The same bytes run as a bare process, in a container and in a microVM, so two targets differ in
//! the isolation and not in the program. The program is executed once per sample, also in a bare
//! microVM, where each system call costs a VM exit. So the program stays on one thread, needs no
//! `/proc` and no `/dev`, and does nothing that its subcommand does not ask for.
//!
//! - [`protocol`] is what the program says on standard output, and the one place where that is
//!   parsed;
//! - [`latencies`] and [`calls`] are the messages with more than numbers in them;
//! - [`arguments`] is the command line;
//! - [`run`] has one module a workload;
//! - [`inspect`] says what a program can see of the host;
//! - [`template`] is how a program that has initialised is asked for clones of itself;
//! - [`guest_init`] is the program as the first process of a guest with a Linux kernel.

pub mod arguments;
pub mod calls;
pub mod guest_init;
pub mod inspect;
pub mod latencies;
pub mod protocol;
pub mod run;
pub mod template;

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use arguments::Command;

/// The exit code of a workload that failed: an input or output error, or no memory.
pub const EXIT_FAILURE: u8 = 1;
/// The exit code of a command line that names no workload.
pub const EXIT_USAGE: u8 = 2;

/// The whole program `isobench-workload`: reads the command line, runs the workload, returns the
/// exit code.
///
/// A failure is reported in one line on standard error.
pub fn main() -> u8 {
    if guest_init::is_called_for() {
        guest_init::run();
    }
    let command = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(command) => command,
        Err(error) => return fail(&error, EXIT_USAGE),
    };
    let mut output = io::stdout();
    let done = match command {
        Command::Help => output
            .write_all(arguments::USAGE.as_bytes())
            .map_err(run::WorkloadError::Output),
        Command::Inspect => {
            inspect::run(&mut output, &mut io::stdin()).map_err(run::WorkloadError::Output)
        }
        Command::Run { workload, waits } if waits || workload.ends_with_input() => {
            workload.run(&mut output, &mut io::stdin())
        }
        Command::Run { workload, .. } => workload.run(&mut output, &mut io::empty()),
    };
    done.map_or_else(|error| fail(&error, EXIT_FAILURE), |()| 0)
}

/// Prints `error` and its causes in one line, and returns `code`.
fn fail(error: &dyn Error, code: u8) -> u8 {
    let line = error_line("isobench-workload", error);
    // If standard error is gone too, the exit code alone tells of the failure.
    let _ = io::stderr().write_all(line.as_bytes());
    code
}

/// `error` and its causes in one line, after the name of the program.
fn error_line(name: &str, error: &dyn Error) -> String {
    let mut line = format!("{name}: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a `String` cannot fail.
        let _ = write!(line, ": {error}");
        cause = error.source();
    }
    line.push('\n');
    line
}
