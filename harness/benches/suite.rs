//! The whole suite, as `isobench run`: `cargo bench` ends with its screen.

use std::path::Path;
use std::process::ExitCode;

use isobench::commands;
use isobench::experiments::profile::Profile;
use isobench::host::interrupt::Interrupt;
use isobench::host::programs::Programs;
use isobench::suite;
use isobench::suite::options::Options;

/// Criterion's users filter benches by name: `cargo bench -- startup/container` is not about the suite.
fn asked_for() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let benching = arguments.iter().any(|argument| argument == "--bench");
    let mut filters = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .peekable();
    benching
        && (filters.peek().is_none() || filters.any(|filter| "suite".contains(filter.as_str())))
}

fn main() -> ExitCode {
    if !asked_for() {
        return ExitCode::SUCCESS;
    }
    let outcome = || {
        let directory = Path::new(env!("CARGO_BIN_EXE_isobench"))
            .parent()
            .unwrap_or(Path::new("."));
        let options = Options::of_profile(Profile::Standard);
        suite::run(
            &options,
            &Programs::in_directory(directory)?,
            &Interrupt::install()?,
        )
    };
    let concluded =
        outcome().and_then(|finished| commands::finished::conclude(&finished, None, None));
    concluded.unwrap_or_else(|error| commands::failure::report(&error))
}
