//! `isobench run`

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::RunArguments;
use crate::interrupt::Interrupt;
use crate::programs::Programs;
use crate::stop::Until;
use crate::suite::{self, Options};

/// Exit code of a run that the user stopped: 128 + SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs the suite, and prints the table and where the report is.
///
/// # Errors
/// As [`suite::run`].
pub fn run(arguments: RunArguments) -> anyhow::Result<ExitCode> {
    if let Some(processors) = &arguments.pin {
        processors.keep_to()?;
    }
    let interrupt = Interrupt::install().context("cannot catch signals")?;
    let programs = Programs::find()?;
    let options = Options {
        targets: arguments.targets,
        start_daemons: arguments.start_daemons,
        experiments: arguments.experiments,
        profile: arguments.profile,
        seed: arguments.seed,
        baseline: arguments.baseline,
        until: Until {
            precision: arguments.precision,
            time: arguments.max_time,
        },
        tune: arguments.tune.then_some(arguments.tune_root),
        injections: arguments.inject,
        limit: arguments.sample_limit,
        twin: arguments.twin,
        out: arguments.out,
    };
    let finished = suite::run(&options, &programs, &interrupt)?;
    suite::print(&finished, arguments.format.map(Into::into))?;
    Ok(if finished.run.partial {
        ExitCode::from(INTERRUPTED)
    } else {
        ExitCode::SUCCESS
    })
}
