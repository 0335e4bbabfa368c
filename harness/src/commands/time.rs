//! `isobench time` and `isobench run --workload`: the user's own commands on every target.

use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;

use crate::commands::arguments::TimeArguments;
use crate::commands::failure::BadInput;
use crate::commands::finished::conclude;
use crate::commands::formats::FigureFormat;
use crate::host::interrupt::Interrupt;
use crate::host::programs::Programs;
use crate::host::session::{PlaceNeeds, Session};
use crate::suite;
use crate::suite::options::{ConductOptions, TargetOptions};
use crate::suite::request::Request;
use crate::suite::timed_request::Explanation;
use crate::timing::command::TimedCommand;
use crate::timing::root::Roots;
use crate::timing::workload_file::{Needs, Workload};

/// How a run of the user's commands is measured and printed.
#[derive(Debug)]
pub struct TimeOptions<'a> {
    /// Which targets are measured.
    pub choice: &'a TargetOptions,
    /// How the run is conducted.
    pub conduct: &'a ConductOptions,
    /// Whether the run explains why the targets differ.
    pub explanation: Explanation,
    /// The format of the printed figures; `None` for one screen.
    pub format: Option<FigureFormat>,
}

/// Times one command.
///
/// # Errors
/// The settings contradict each other, the program isn't there, or the run fails.
pub fn time(arguments: &TimeArguments) -> anyhow::Result<ExitCode> {
    let settings = arguments.settings.clone();
    let command = TimedCommand::new(settings, arguments.command.clone())?;
    let options = TimeOptions {
        choice: &arguments.choice,
        conduct: &arguments.conduct,
        explanation: explanation(arguments.explain),
        format: arguments.format,
    };
    measure(vec![command], &Needs::default(), &options)
}

/// What the option `--explain` asks for.
pub fn explanation(is_wanted: bool) -> Explanation {
    if is_wanted {
        Explanation::Wanted
    } else {
        Explanation::None
    }
}

/// Times the commands of the workload file at `path`.
///
/// # Errors
/// The file is wrong, something that it needs isn't there, or the run fails.
pub fn workload(path: &Path, options: &TimeOptions) -> anyhow::Result<ExitCode> {
    let Workload { commands, needs } = Workload::read(path)?;
    measure(commands, &needs, options)
}

/// Times `commands`. `hints` say what to do about what isn't there.
fn measure(
    commands: Vec<TimedCommand>,
    hints: &Needs,
    options: &TimeOptions,
) -> anyhow::Result<ExitCode> {
    let interrupt = Interrupt::install().context("cannot catch signals")?;
    let programs = Programs::find()?;
    let session = Session::open(&PlaceNeeds::OF_PROGRAMS)?;
    let scratch = session.scratch().to_owned();
    let mut roots = Roots::new(&scratch);
    let mut resolved = Vec::new();
    for command in commands {
        check_port(&command)?;
        if let Some(input) = &command.input {
            check_input(input).map_err(|error| with_hint(error.into(), hints.of_file(input)))?;
        }
        let program = roots.resolve(&command);
        let program =
            program.map_err(|error| with_hint(error.into(), hints.of_command(&command)))?;
        resolved.push((command, program));
    }
    let (choice, conduct) = (options.choice, options.conduct);
    let explanation = options.explanation;
    let request = Request::of_commands(resolved, &roots, choice, conduct, explanation, &programs)?;
    let finished = suite::measure(request, conduct, session, &programs, &interrupt)?;
    conclude(&finished, conduct.baseline.as_deref(), options.format)
}

/// The error, and what the workload file says about what isn't there.
fn with_hint(error: anyhow::Error, hint: Option<&str>) -> anyhow::Error {
    match hint {
        Some(hint) => BadInput(format!("{error:#}; the workload file says: {hint}")).into(),
        None => error,
    }
}

/// Checks that the file that a command reads can be opened.
fn check_input(path: &Path) -> Result<(), BadInput> {
    match std::fs::File::open(path).and_then(|file| file.metadata()) {
        Ok(metadata) if metadata.is_dir() => Err("it is a directory".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
    .map_err(|why| BadInput(format!("--input {}: {why}; name a file", path.display())))
}

/// Checks that nothing else listens on the port that the command is to open: it would answer in the
/// command's place.
fn check_port(command: &TimedCommand) -> Result<(), BadInput> {
    let Some(port) = command.ready.port() else {
        return Ok(());
    };
    match TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Err(BadInput(format!(
            "something on this host listens on port {port} already; stop it, or choose another port"
        ))),
        Err(_) => Ok(()),
    }
}
