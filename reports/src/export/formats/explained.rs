//! Why the targets of timed commands differ, for programs.

use serde::Serialize;

use crate::figures::explanation::{self, Nanoseconds, TargetExplanation};
use crate::figures::summary::Summary;

/// How much longer a command takes on a target than as a bare process, and what is predicted of it.
/// All times are in nanoseconds. A term that isn't there is no zero.
#[derive(Debug, Serialize)]
pub struct ExplanationRow<'a> {
    experiment: &'a str,
    target: &'a str,
    measured_ns: f64,
    measured_low_ns: Option<f64>,
    measured_high_ns: Option<f64>,
    start_ns: Option<f64>,
    system_calls_ns: Option<f64>,
    page_faults_ns: Option<f64>,
    predicted_ns: Option<f64>,
    unexplained_ns: Option<f64>,
}

/// A row for each target of each command that the run explains.
pub fn rows<'a>(summary: &Summary<'a>) -> Vec<ExplanationRow<'a>> {
    let mut rows = Vec::new();
    for (section, explanation) in explanation::all(summary) {
        let experiment = section.experiment.name.as_str();
        let targets = summary.run.targets.iter();
        for explained in &explanation.targets {
            let target = targets.clone().nth(explained.index);
            rows.extend(target.map(|target| row(experiment, &target.name, explained)));
        }
    }
    rows
}

fn row<'a>(
    experiment: &'a str,
    target: &'a str,
    explained: &TargetExplanation<'_>,
) -> ExplanationRow<'a> {
    let number = |time: Option<Nanoseconds>| time.map(|time| time.0);
    let [start_ns, system_calls_ns, page_faults_ns] = explained.terms.map(|(_, time)| number(time));
    let measured = explained.measured;
    ExplanationRow {
        experiment,
        target,
        measured_ns: measured.value,
        measured_low_ns: measured.interval.map(|interval| interval.low),
        measured_high_ns: measured.interval.map(|interval| interval.high),
        start_ns,
        system_calls_ns,
        page_faults_ns,
        predicted_ns: number(explained.predicted()),
        unexplained_ns: number(explained.unexplained()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_target_of_an_explained_command_has_a_row() {
        let run = fixture::explained();
        let summary = Summary::of(&run);
        let rows = rows(&summary);
        let names: Vec<_> = rows
            .iter()
            .map(|row| (row.experiment, row.target))
            .collect();
        assert_eq!(names, [("time", "container"), ("time", "bwrap")]);
        assert_eq!(rows[0].predicted_ns, Some(2.75e6));
        assert_eq!(rows[1].page_faults_ns, None);
        let plain = fixture::run();
        assert!(super::rows(&Summary::of(&plain)).is_empty());
    }
}
