//! What targets lack although the host can run them, and why.

use std::fmt;

use super::{CellContent, Section, Summary};

/// Samples that a target lacks although the host can run it, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// The name of the experiment.
    pub experiment: &'a str,
    /// The name of the metric; absent if all metrics of the experiment have the same gap.
    pub metric: Option<&'a str>,
    /// Why the samples are lacking.
    pub reason: &'a str,
    /// The number of samples that failed; 0 if the metric is unavailable.
    pub failed: usize,
}

impl fmt::Display for Gap<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            experiment,
            metric,
            reason,
            failed,
            ..
        } = self;
        f.write_str(experiment)?;
        if let Some(metric) = metric {
            write!(f, ", {metric}")?;
        }
        match failed {
            0 => write!(f, ": unavailable: {reason}"),
            1 => write!(f, ": 1 sample failed: {reason}"),
            _ => write!(f, ": {failed} samples failed: {reason}"),
        }
    }
}

impl<'a> Summary<'a> {
    /// Every gap of the targets that the host can run, in the order of targets.
    pub fn gaps(&self) -> Vec<Gap<'a>> {
        let targets = self.run.targets.iter().enumerate();
        let able = targets.filter(|(_, target)| target.unavailable.is_none());
        let of_target = |(index, _)| {
            let sections = self.sections.iter();
            sections.flat_map(move |section| of_section(section, index))
        };
        able.flat_map(of_target).collect()
    }
}

/// The gaps of the target at `index` in one experiment. If nothing of a sample was measured, its
/// gap is told once.
fn of_section<'a>(section: &Section<'a>, index: usize) -> Vec<Gap<'a>> {
    let columns = section.columns.len();
    let gaps = of_metrics(section, index);
    let Some(first) = gaps.first() else {
        return gaps;
    };
    let is_same = |gap: &Gap<'_>| (gap.reason, gap.failed) == (first.reason, first.failed);
    if columns > 1 && gaps.len() == columns && gaps.iter().all(is_same) {
        let metric = None;
        return vec![Gap { metric, ..*first }];
    }
    gaps
}

fn of_metrics<'a>(section: &Section<'a>, index: usize) -> Vec<Gap<'a>> {
    let mut gaps = Vec::new();
    for column in &section.columns {
        let cell = &column.cells[index];
        let gap = |reason, failed| Gap {
            target: &cell.target.name,
            experiment: &section.experiment.name,
            metric: Some(&column.metric.name),
            reason,
            failed,
        };
        if let CellContent::Unavailable(reason) = cell.content {
            gaps.push(gap(reason, 0));
        }
        let failures = cell.failures.iter();
        gaps.extend(failures.map(|failure| gap(failure.reason, failure.count)));
    }
    gaps
}

#[cfg(test)]
mod tests {
    use crate::figures::summary::Summary;
    use crate::fixture;

    #[test]
    fn a_gap_of_all_metrics_is_told_once() {
        let mut run = fixture::run();
        fixture::only_time(&mut run);
        let told = |run: &crate::model::Run| -> Vec<String> {
            let gaps = Summary::of(run).gaps().into_iter();
            gaps.map(|gap| format!("{}: {gap}", gap.target)).collect()
        };
        let gaps = told(&run);
        assert_eq!(gaps.len(), 4, "{gaps:#?}");
        assert_eq!(
            gaps[0],
            "container: time-server: 1 sample failed: exit code 137"
        );
        assert!(gaps[2].starts_with("microvm-bare: time-server: unavailable: its guest has no"));
        assert_eq!(
            told(&fixture::run()),
            ["container: startup, ready: 1 sample failed: timed out after 5 s"]
        );
    }
}
