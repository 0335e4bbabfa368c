//! What a run measures that times commands of the user.

use isobench_container::cgroup::Controller;
use isobench_reports::schema::time;

use super::options::{ConductOptions, TargetOptions};
use super::request::{Request, RequestError, check_baseline};
use crate::experiments::profile::Profile;
use crate::experiments::{ContentsId, Cpu, Experiment, Explain, Startup, Time};
use crate::host::programs::Programs;
use crate::targets::Contents;
use crate::targets::resource_limits::ResourceLimits;
use crate::timing::command::TimedCommand;
use crate::timing::root::{ResolvedProgram, Roots};

/// Whether a run explains why its targets differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explanation {
    /// The run measures the commands alone.
    None,
    /// The run also counts what the commands do, and measures what that costs.
    Wanted,
}

/// The name of the profile in results files: a command of the user has its own numbers of runs.
const PROFILE: &str = "time";

impl<'c> Request<'c> {
    /// The request to time `commands`, whose roots are `roots`. To explain them, the host's prices
    /// and the targets' starts are measured as well.
    ///
    /// # Errors
    /// [`RequestError`] for an unknown target, or a baseline that isn't measured.
    pub fn of_commands(
        commands: Vec<(TimedCommand, ResolvedProgram)>,
        roots: &'c Roots,
        choice: &TargetOptions,
        conduct: &ConductOptions,
        explanation: Explanation,
        programs: &'c Programs,
    ) -> Result<Self, RequestError> {
        let mut targets = choice.choose(programs)?;
        targets.retain(|target| target.info().takes_part_in(time::NAME));
        check_baseline(&targets, conduct.baseline.as_deref())?;
        // The first of a run's contents is the workload, which no command is.
        let id = |root: usize| ContentsId(root + 1);
        let mut contents: Vec<_> = (0..).map(id).zip(roots.contents()).collect();
        let controllers = controllers(&commands);
        let mut experiments: Vec<Box<dyn Experiment>> = Vec::new();
        let mut explanations: Vec<Box<dyn Experiment>> = Vec::new();
        for (command, program) in commands {
            let contents = id(program.root);
            if explanation == Explanation::Wanted {
                let (command, program) = (command.clone(), program.clone());
                explanations.push(Box::new(Explain::new(command, program, contents)));
            }
            experiments.push(Box::new(Time::new(command, program, contents)));
        }
        experiments.extend(explanations);
        if explanation == Explanation::Wanted {
            let workload = Contents::Program(&programs.workload);
            contents.push((ContentsId::WORKLOAD, workload));
            experiments.push(Box::new(Startup::new()));
            experiments.push(Box::new(Cpu::to_explain()));
        }
        Ok(Self {
            targets,
            contents,
            experiments,
            profile: Profile::Quick,
            profile_name: PROFILE,
            injections: Vec::new(),
            sample_limit: None,
            announces_gaps: true,
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
