//! What a run measures that times commands of the user.

use isobench_container::cgroup::Controller;

use super::options::{ConductOptions, TargetOptions};
use super::request::{Request, RequestError, check_baseline};
use crate::experiments::profile::Profile;
use crate::experiments::{ContentsId, Experiment, Time};
use crate::host::programs::Programs;
use crate::targets::resource_limits::ResourceLimits;
use crate::timing::command::TimedCommand;
use crate::timing::root::{ResolvedProgram, Roots};

/// The name of the profile in results files: a command of the user has its own numbers of runs.
const PROFILE: &str = "time";

impl<'c> Request<'c> {
    /// The request to time `commands`, whose roots are `roots`.
    ///
    /// # Errors
    /// [`RequestError`] for an unknown target, or a baseline that isn't measured.
    pub fn of_commands(
        commands: Vec<(TimedCommand, ResolvedProgram)>,
        roots: &'c Roots,
        choice: &TargetOptions,
        conduct: &ConductOptions,
        programs: &Programs,
    ) -> Result<Self, RequestError> {
        let mut targets = choice.choose(programs)?;
        targets.retain(|target| {
            target
                .info()
                .takes_part_in(isobench_reports::schema::time::NAME)
        });
        check_baseline(&targets, conduct.baseline.as_deref())?;
        // The first of a run's contents is the workload, which no command is.
        let id = |root: usize| ContentsId(root + 1);
        let contents = roots.contents().enumerate();
        let contents = contents.map(|(root, contents)| (id(root), contents));
        let controllers = controllers(&commands);
        let experiments = commands.into_iter().map(|(command, program)| {
            let contents = id(program.root);
            Box::new(Time::new(command, program, contents)) as Box<dyn Experiment>
        });
        Ok(Self {
            targets,
            contents: contents.collect(),
            experiments: experiments.collect(),
            profile: Profile::Quick,
            profile_name: PROFILE,
            injections: Vec::new(),
            sample_limit: None,
            controllers,
        })
    }
}

/// The controllers for the limits of all commands.
fn controllers(commands: &[(TimedCommand, ResolvedProgram)]) -> Vec<Controller> {
    let cpus = commands.iter().find_map(|(command, _)| command.cpus);
    let limits = ResourceLimits {
        cpus,
        ..ResourceLimits::default()
    };
    limits.controllers()
}
