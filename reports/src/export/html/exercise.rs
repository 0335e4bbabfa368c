//! Predict first: questions about the run's own figures, each with a field for a guess and a hidden
//! answer.
//!
//! The answers and the report stand in `<details>`, which need no script. The only script compares
//! guesses with answers. The document allows this one script, by its digest, and no other.

use super::table::leading;
use crate::figures::leading::by_importance;
use crate::figures::summary::{Figure, Summary};
use crate::model::{Target, TargetKind, Unit};
use crate::words::Words;
use crate::words::units::{self, Scale};

/// The script of a report with questions.
pub const SCRIPT: &str = include_str!("../../../templates/exercise.js");

/// The digest of the script, as the document's policy names it.
pub const DIGEST: &str = "sha256-6p5RNWMVjRv5h559FoNNmJyFF2yhddk4qgKmnbUQdis=";

/// The most questions of a run.
const MOST: usize = 9;

/// A question with its answer.
pub struct QuestionView {
    /// The question.
    pub asked: String,
    /// The unit of the guess.
    pub unit: &'static str,
    /// The answer in that unit, for the script.
    pub measured: f64,
    /// The answer in words.
    pub answer: String,
    /// The interval of the answer.
    pub interval: Option<String>,
}

/// A question for each rung and each experiment with a leading figure.
pub fn questions(summary: &Summary<'_>, words: &Words) -> Vec<QuestionView> {
    let mut questions = Vec::new();
    for (title, column) in by_importance(summary)
        .into_iter()
        .filter_map(|section| leading(section, words))
    {
        for cell in &column.cells {
            let is_rung = matches!(cell.target.kind, TargetKind::Rung(_));
            let figure = cell
                .figure()
                .filter(|figure| is_rung && figure.median > 0.0);
            let unit = column.metric.unit;
            questions
                .extend(figure.map(|figure| question(&title, unit, cell.target, figure, words)));
        }
    }
    questions.truncate(MOST);
    questions
}

fn question(
    title: &str,
    unit: Unit,
    target: &Target,
    figure: &Figure<'_>,
    words: &Words,
) -> QuestionView {
    let scale = Scale::of(unit, figure.median);
    let interval = figure.interval;
    QuestionView {
        asked: words.say(
            "exercise.ask",
            &[("title", &title), ("target", &target.name)],
        ),
        unit: scale.symbol,
        measured: figure.median / scale.divisor,
        answer: units::value(unit, figure.median),
        interval: interval.map(|interval| words.interval(unit, interval, figure.median)),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use sha2::{Digest as _, Sha256};

    use super::*;
    use crate::fixture;
    use crate::words::Language;

    #[test]
    fn the_policy_allows_the_script_and_only_it() {
        let digest = STANDARD.encode(Sha256::digest(SCRIPT));
        assert_eq!(DIGEST, format!("sha256-{digest}"));
    }

    #[test]
    fn rungs_are_asked_for_and_answers_are_the_run_s() {
        let run = fixture::run();
        let summary = Summary::of(&run);
        let questions = questions(&summary, &Words::of(Language::English));
        assert_eq!(questions.len(), 9);
        let container = &questions[1];
        assert!(container.asked.contains("container"), "{}", container.asked);
        let median = summary.sections[0].columns[0]
            .figure_of("container")
            .unwrap()
            .median;
        assert_eq!((container.unit, container.measured), ("ms", median / 1e6));
        assert_eq!(container.answer, units::value(Unit::Nanoseconds, median));
    }
}
