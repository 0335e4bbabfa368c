//! The first screen: the run's answer in a sentence, the ladder in a few rows, and whether the host
//! was quiet.

use super::table::{TableView, kind, leading, table};
use crate::figures::leading::{ABREAST, by_importance};
use crate::figures::summary::{Cell, CellContent, Summary};
use crate::findings::doubts::Doubt;
use crate::findings::quiet::Quiet;
use crate::findings::{headline, verdict};
use crate::model::TargetKind;
use crate::words::Words;

/// What is seen before the reader scrolls.
pub struct FirstView {
    /// The run's answer.
    pub verdict: String,
    /// Further findings, a sentence each.
    pub findings: Vec<String>,
    /// Whether the host was quiet: the answer in a few words, and the reasons for it.
    pub quiet: (String, String),
    /// Whether something disturbed the run.
    pub disturbed: bool,
    /// The rungs, each with its leading figures.
    pub ladder: TableView,
}

impl FirstView {
    /// Puts the figures of a run onto a screen; `asked` is the name of the baseline that was asked
    /// for.
    pub fn of(
        summary: &Summary<'_>,
        asked: Option<&str>,
        doubts: &[Doubt<'_>],
        words: &Words,
    ) -> Self {
        let mut findings = headline::sentences(summary, asked, words);
        let verdict = verdict::sentence(summary, words).unwrap_or_else(|| findings.remove(0));
        let quiet = Quiet::of(summary, doubts);
        Self {
            verdict,
            findings,
            disturbed: matches!(quiet, Quiet::No(_)),
            quiet: quiet.tell(words),
            ladder: ladder(summary, words),
        }
    }
}

/// The rungs, with the leading figure of each experiment.
fn ladder(summary: &Summary<'_>, words: &Words) -> TableView {
    let sections = by_importance(summary).into_iter();
    let columns = sections.filter_map(|section| leading(section, words));
    let columns: Vec<_> = columns.take(ABREAST).collect();
    let is_rung = |index: usize| {
        let target = &summary.run.targets[index];
        matches!(target.kind, TargetKind::Rung(_))
    };
    let has_cell = |cell: &Cell<'_>| !matches!(cell.content, CellContent::NotTaken);
    let has_any = |index: usize| {
        let mut cells = columns.iter().map(|(_, column)| &column.cells[index]);
        cells.any(has_cell)
    };
    let mut ladder = table(summary, &columns, words, |index| {
        is_rung(index) && has_any(index)
    });
    // A version can be long. The table of all targets has it.
    for row in &mut ladder.rows {
        let target = summary
            .run
            .targets
            .iter()
            .find(|target| target.name == row.name);
        row.place = target.map(|target| kind(target, words)).unwrap_or_default();
    }
    ladder
}
