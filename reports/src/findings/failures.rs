//! A run in which every sample failed, in sentences.

use crate::figures::summary::{CellContent, Summary};
use crate::schema::{are_of_commands, time};
use crate::words::Words;

/// That all samples failed, and then each target's reasons. Nothing if some sample counts, or if
/// none was taken. Of a run of timed commands, their samples alone decide.
pub fn sentences(summary: &Summary<'_>, words: &Words) -> Option<Vec<String>> {
    let is_of_commands = are_of_commands(&summary.run.experiments);
    let sections = summary.sections.iter();
    let sections =
        sections.filter(|section| !is_of_commands || time::is_time(&section.experiment.name));
    let columns = sections.flat_map(|section| &section.columns);
    let mut tried = columns
        .flat_map(|column| &column.cells)
        .filter(|cell| cell.was_tried());
    let have_failed = tried.clone().next().is_some()
        && tried.all(|cell| matches!(cell.content, CellContent::Failed));
    have_failed.then(|| {
        let gaps = summary.gaps().into_iter().filter(|gap| gap.failed > 0);
        let reasons = gaps.map(|gap| format!("{}: {gap}", gap.target));
        let all = words.text("finding.all-failed").to_owned();
        [all].into_iter().chain(reasons).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::model::{Run, Status};
    use crate::words::Language;

    fn told(run: &Run) -> Option<Vec<String>> {
        sentences(&Summary::of(run), &Words::of(Language::English))
    }

    #[test]
    fn that_every_sample_of_the_commands_failed_is_told_with_the_reasons() {
        let mut run = fixture::explained();
        assert_eq!(told(&run), None);
        for sample in &mut run.samples {
            if time::is_time(&sample.experiment) && sample.status == Status::Ok {
                (sample.status, sample.value) = (Status::Failed, None);
                sample.reason = Some("exit code 1".to_owned());
            }
        }
        let sentences = told(&run).unwrap();
        assert_eq!(sentences[0], "All samples failed.");
        let reason = "bwrap: time: 19 samples failed: exit code 1";
        assert!(sentences.iter().any(|told| told == reason), "{sentences:?}");
        run.samples.clear();
        assert_eq!(told(&run), None, "none was taken");
    }
}
