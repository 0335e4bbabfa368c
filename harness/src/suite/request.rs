//! Checks what a run is asked for, before anything is measured.

use isobench_reports::model::Injection;

use super::injection::NotInThisRun;
use super::options::Options;
use crate::experiments::{self, Experiment, Inclusion};
use crate::host::programs::Programs;
use crate::targets::{self, Target, UnknownTarget};

/// The user asked for something that isobench doesn't know or that the run doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A target's name is unknown.
    #[error(transparent)]
    Target(#[from] UnknownTarget),
    /// An experiment's name is unknown.
    #[error("unknown experiment `{name}`; choose among {known}")]
    Experiment {
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// The baseline isn't measured, so that no ratio could be had.
    #[error("the baseline `{name}` isn't among the targets of this run; choose among {measured}")]
    Baseline {
        /// The name.
        name: String,
        /// The targets that are measured.
        measured: String,
    },
    /// A delay is wanted for a target that isn't measured.
    #[error(transparent)]
    Injection(#[from] NotInThisRun),
}

/// What a run measures.
#[derive(Debug)]
pub struct Request {
    /// The targets, in the order of the report.
    pub targets: Vec<Box<dyn Target>>,
    /// The experiments, in the order of the report.
    pub experiments: Vec<Box<dyn Experiment>>,
    /// The delays that are added on purpose.
    pub injections: Vec<Injection>,
}

impl Request {
    /// Looks up what `options` name.
    ///
    /// # Errors
    /// [`RequestError`]
    pub fn of(options: &Options, programs: &Programs) -> Result<Self, RequestError> {
        let all = targets::all(programs, options.daemons());
        let mut targets = targets::choose(all, options.targets.as_deref())?;
        targets.extend(options.twin.then(targets::twin));
        let injections = options
            .inject
            .iter()
            .map(|wish| wish.injections(&targets))
            .collect::<Result<Vec<_>, _>>()?;
        check_baseline(&targets, options.baseline.as_deref())?;
        let experiments = choose_experiments(
            experiments::all(options.profile),
            options.experiments.as_deref(),
        )?;
        Ok(Self {
            targets,
            experiments,
            injections: injections.concat(),
        })
    }
}

/// Picks the experiments that `wanted` names, in the order of the report; without names those that a
/// run has unasked.
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
        .map(|experiment| experiment.info().name)
        .collect();
    let is_unknown = |name: &&String| !known.contains(&name.as_str());
    if let Some(unknown) = wanted.iter().find(is_unknown) {
        return Err(RequestError::Experiment {
            name: unknown.clone(),
            known: known.join(", "),
        });
    }
    all.retain(|experiment| wanted.iter().any(|name| name == experiment.info().name));
    Ok(all)
}

/// A baseline that isn't measured would leave a run without a single ratio.
fn check_baseline(targets: &[Box<dyn Target>], wanted: Option<&str>) -> Result<(), RequestError> {
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
    use crate::experiments::profile::Profile;

    fn chosen(wanted: Option<&[&str]>) -> Result<Vec<&'static str>, RequestError> {
        let wanted: Option<Vec<String>> =
            wanted.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let all = experiments::all(Profile::Quick);
        let chosen = choose_experiments(all, wanted.as_deref())?;
        Ok(chosen
            .iter()
            .map(|experiment| experiment.info().name)
            .collect())
    }

    #[test]
    fn experiments_are_chosen_in_the_report_s_order() {
        assert_eq!(
            chosen(Some(&["disk", "startup"])).unwrap(),
            ["startup", "disk"]
        );
        assert!(chosen(None).unwrap().contains(&"startup"));
    }

    #[test]
    fn an_unknown_experiment_is_refused_with_the_known_ones() {
        let error = chosen(Some(&["startup", "weather"]))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("unknown experiment `weather`; choose among startup, "),
            "{error}"
        );
    }
}
