//! Chores of the repository that cargo has no command for: `cargo xtask lab`.
//!
//! The same program is the lab's first process: the kernel starts it as `/init`, and its process
//! number tells it so.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the lab is for whoever watches it"
)]

mod init;
mod lab;
mod plan;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask lab [--minutes N] [-- FILTER | -- PROGRAM ARGS...]

Boots a machine with emulated hardware virtualization and pure cgroup v2, runs the tests of the container and of the
VMM and a quick run in it, and brings what they leave to target/lab/. With words after `--`, only that is done: a
PROGRAM of this workspace or a path is run, anything else selects tests by their names.";

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return init::run();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(("lab", rest)) = words
        .split_first()
        .map(|(word, rest)| (word.as_str(), rest))
    else {
        eprintln!("{USAGE}");
        return ExitCode::from(lab::BAD_INPUT);
    };
    let outcome = lab::Options::parse(rest).and_then(|options| lab::run(&options));
    outcome.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::from(if error.is::<lab::BadInput>() {
            lab::BAD_INPUT
        } else {
            1
        })
    })
}
