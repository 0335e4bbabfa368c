//! Chores of the repository that cargo has no command for: `cargo xtask lab`, `cargo xtask manuals`.
//!
//! The same program is the lab's first process: the kernel starts it as `/init`, and its process
//! number tells it so.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "chores are for whoever watches them"
)]

mod init;
mod lab;
mod manuals;
mod plan;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask lab [--minutes N] [-- FILTER | -- PROGRAM ARGS...]
       cargo xtask manuals DIR

lab boots a machine with emulated hardware virtualization and pure cgroup v2, runs the tests of the container and of the
VMM and a quick run in it, and brings what they leave to target/lab/. With words after `--`, only that is done: a
PROGRAM of this workspace or a path is run, anything else selects tests by their names.

manuals writes the man pages of isobench and its completions for bash, fish and zsh below DIR/share, where the
programs look that use them if DIR is such as ~/.local, /usr/local or the /usr of a package.";
/// Exit code for what was asked wrongly, or can't be done here.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        return init::run();
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["lab", ..] => run_lab(&words[1..]),
        ["manuals", directory] if !directory.starts_with('-') => write_manuals(directory.as_ref()),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn run_lab(words: &[&str]) -> ExitCode {
    let outcome = lab::Options::parse(words).and_then(|options| lab::run(&options));
    outcome.unwrap_or_else(|error| {
        eprintln!("lab: {error:#}");
        ExitCode::from(if error.is::<lab::BadInput>() {
            BAD_INPUT
        } else {
            1
        })
    })
}

fn write_manuals(directory: &Path) -> ExitCode {
    match manuals::write(directory) {
        Ok(files) => {
            for file in files {
                println!("{}", file.display());
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("manuals: {error:#}");
            ExitCode::FAILURE
        }
    }
}
