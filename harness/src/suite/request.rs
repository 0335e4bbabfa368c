//! Looks up the targets and experiments that the options of a run name, before anything is
//! measured.

use std::time::Duration;

use isobench_container::cgroup::Controller;
use isobench_reports::model::Injection;

use super::injection::UnknownDelayTarget;
use super::options::Options;
use crate::experiments::profile::Profile;
use crate::experiments::{self, ContentsId, Experiment, Inclusion};
use crate::host::programs::Programs;
use crate::targets::resource_limits::ResourceLimits;
use crate::targets::{self, Contents, Target, UnknownTarget};

/// The options name something that isobench doesn't know, or that isn't part of the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A target's name is unknown.
    #[error(transparent)]
    Target(#[from] UnknownTarget),
    /// An experiment's name is unknown.
    #[error("unknown experiment `{name}`; choose among {known}")]
    Experiment {
        /// The unknown name.
        name: String,
        /// The names of all experiments.
        known: String,
    },
    /// The baseline isn't measured, so there would be no ratios.
    #[error("the baseline `{name}` isn't among the targets of this run; choose among {measured}")]
    Baseline {
        /// The name of the baseline.
        name: String,
        /// The names of the measured targets.
        measured: String,
    },
    /// No target can run a command of the run.
    #[error(
        "nothing to time: no target of this run can run it; mend what is said above, or add a target"
    )]
    NoTarget,
    /// A delay is requested for a target that isn't measured.
    #[error(transparent)]
    Injection(#[from] UnknownDelayTarget),
}

/// What a run measures.
#[derive(Debug)]
pub struct Request<'c> {
    /// The targets, in the order of the report.
    pub targets: Vec<Box<dyn Target>>,
    /// The contents of the targets' roots.
    pub contents: Vec<(ContentsId, Contents<'c>)>,
    /// The experiments, in the order of the report.
    pub experiments: Vec<Box<dyn Experiment>>,
    /// How much the experiments measure.
    pub profile: Profile,
    /// The profile's name in results files.
    pub profile_name: &'static str,
    /// The delays that are added on purpose.
    pub injections: Vec<Injection>,
    /// How long one instance may take before its sample counts as failed; `None` for the default.
    pub sample_limit: Option<Duration>,
    /// Whether the run says before its first sample what can't be measured, and why.
    pub announces_gaps: bool,
    /// The cgroup controllers that the run's limits need.
    pub controllers: Vec<Controller>,
}

impl<'c> Request<'c> {
    /// Looks up the targets and experiments that `options` name.
    ///
    /// # Errors
    /// [`RequestError`]
    pub fn of(options: &Options, programs: &'c Programs) -> Result<Self, RequestError> {
        let mut targets = options.choice.choose(programs)?;
        targets.extend(options.twin.then(targets::twin));
        let injections = options
            .inject
            .iter()
            .map(|delay| delay.injections(&targets))
            .collect::<Result<Vec<_>, _>>()?;
        check_baseline(&targets, options.conduct.baseline.as_deref())?;
        let experiments = choose_experiments(
            experiments::all(options.profile),
            options.experiments.as_deref(),
        )?;
        Ok(Self {
            targets,
            contents: vec![(ContentsId::WORKLOAD, Contents::Program(&programs.workload))],
            experiments,
            profile: options.profile,
            profile_name: options.profile.name(),
            injections: injections.concat(),
            sample_limit: options.sample_limit,
            announces_gaps: false,
            controllers: ResourceLimits::default().controllers(),
        })
    }
}

/// Picks the experiments that `wanted` names, in the order of the report. Without names, the
/// experiments that every run includes are picked.
fn choose_experiments(
    mut all: Vec<Box<dyn Experiment>>,
    wanted: Option<&[String]>,
) -> Result<Vec<Box<dyn Experiment>>, RequestError> {
    let Some(wanted) = wanted else {
        all.retain(|experiment| experiment.info().inclusion == Inclusion::InEveryRun);
        return Ok(all);
    };
    let known: Vec<_> = all
        .iter()
        .map(|experiment| experiment.info().name.clone())
        .collect();
    let is_unknown = |name: &&String| known.iter().all(|known| known != name.as_str());
    if let Some(unknown) = wanted.iter().find(is_unknown) {
        return Err(RequestError::Experiment {
            name: unknown.clone(),
            known: known.join(", "),
        });
    }
    all.retain(|experiment| wanted.iter().any(|name| *name == experiment.info().name));
    Ok(all)
}

/// Checks that the baseline is measured. Otherwise the run would have no ratios.
pub(super) fn check_baseline(
    targets: &[Box<dyn Target>],
    wanted: Option<&str>,
) -> Result<(), RequestError> {
    match wanted {
        Some(name) if targets.iter().all(|target| target.info().name != name) => {
            Err(RequestError::Baseline {
                name: name.to_owned(),
                measured: targets::names(targets),
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wanted: Option<&[&str]>) -> Result<Vec<String>, RequestError> {
        let wanted: Option<Vec<String>> =
            wanted.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let all = experiments::all(Profile::Quick);
        let chosen = choose_experiments(all, wanted.as_deref())?;
        Ok(chosen
            .iter()
            .map(|experiment| experiment.info().name.to_string())
            .collect())
    }

    #[test]
    fn experiments_are_chosen_in_the_report_s_order() {
        assert_eq!(
            chosen(Some(&["disk", "startup"])).unwrap(),
            ["startup", "disk"]
        );
        assert!(chosen(None).unwrap().iter().any(|name| name == "startup"));
    }

    #[test]
    fn the_error_for_an_unknown_experiment_lists_the_known_experiments() {
        let error = chosen(Some(&["startup", "weather"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("unknown experiment `weather`; choose among startup, "),
            "{error}"
        );
    }
}
