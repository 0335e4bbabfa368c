//! The program `isobench`: parses its arguments, runs a subcommand, reports a failure.
#![expect(unsafe_code, reason = "claims the inherited descriptors")]

use std::process::ExitCode;

use clap::Parser as _;
use isobench::commands::arguments::{Cli, Command};
use isobench::commands::{self, failure, terminal};
use isobench::host::descriptors::CallersDescriptors;
use isobench::host::{signals, tune};

fn main() -> ExitCode {
    let Cli { command, color } = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            terminal::choose_color(terminal::color_wanted(std::env::args_os()));
            return failure::answer(&answer);
        }
    };
    terminal::choose_color(color);
    let prepared = signals::hear_of_children().map_err(Into::into);
    if let Err(error) = prepared.and_then(|()| signals::outlive_file_size_limit()) {
        return failure::report(&error.into());
    }
    let outcome = match command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Time(arguments) => commands::time::time(&arguments),
        Command::Exec(arguments) => {
            // SAFETY: nothing has been opened yet.
            let inherited = unsafe { CallersDescriptors::claim() };
            inherited
                .map_err(Into::into)
                .and_then(|inherited| commands::exec::exec(&arguments, inherited))
        }
        Command::Doctor(arguments) => commands::doctor::doctor(&arguments),
        Command::Report(arguments) => commands::report::report(&arguments),
        Command::Compare(arguments) => commands::compare::compare(&arguments),
        Command::Schema => commands::schema::schema(),
        Command::Image(command) => commands::image::image(&command),
        Command::Kernel(arguments) => commands::kernel::kernel(&arguments),
        Command::KeepSettings { root } => tune::guardian::run(&root).map_err(Into::into),
    };
    outcome.unwrap_or_else(|error| failure::report(&error))
}
