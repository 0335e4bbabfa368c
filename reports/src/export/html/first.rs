//! The first screen: one sentence with the run's answer, the ladder in a few rows, and whether the host was quiet.

use super::headline;
use super::table::{TableView, kind, leading, table};
use crate::figures::summary::{Cell, Column, Outcome, Section, Summary};
use crate::findings::doubts::Doubt;
use crate::findings::quiet::{Disturbance, Quiet};
use crate::model::{Target, TargetKind, Unit};
use crate::schema::{cpu, disk, memory, startup};
use crate::words::units;
use crate::words::{Words, signed};

/// The experiments that come first beside each other, for a reader wants one of each kind of cost before a second of any.
const FOREMOST: [&str; 4] = [startup::NAME, memory::NAME, cpu::NAME, disk::NAME];

/// Most experiments beside each other.
const ABREAST: usize = 4;

/// What is seen before anything is scrolled.
pub struct FirstView {
    /// The run's answer.
    pub verdict: String,
    /// Further findings, a sentence each.
    pub findings: Vec<String>,
    /// Whether the host was quiet, in a word and with what says so.
    pub quiet: (String, String),
    /// Whether something disturbed the run.
    pub disturbed: bool,
    /// The rungs.
    pub ladder: TableView,
}

impl FirstView {
    /// Puts the figures of a run into a screenful; `asked` is the baseline that was asked for by name.
    pub fn of(
        summary: &Summary<'_>,
        asked: Option<&str>,
        doubts: &[Doubt<'_>],
        words: &Words,
    ) -> Self {
        let mut findings = headline::sentences(summary, asked, words);
        let verdict = verdict(summary, words).unwrap_or_else(|| findings.remove(0));
        let quiet = Quiet::of(summary, doubts);
        Self {
            verdict,
            findings,
            disturbed: matches!(quiet, Quiet::No(_)),
            quiet: tell(&quiet, words),
            ladder: ladder(summary, words),
        }
    }
}

/// What isolation costs on each rung, in one sentence; nothing unless the bare process is what all is held against.
fn verdict(summary: &Summary<'_>, words: &Words) -> Option<String> {
    let baseline = summary.baseline?;
    if baseline.kind != TargetKind::Rung(0) {
        return None;
    }
    let columns = [startup::NAME, memory::NAME].map(|name| {
        let mut sections = summary.sections.iter();
        sections
            .find(|section| section.experiment.name == name)?
            .leading()
    });
    let cost = |(index, target): (usize, &Target)| {
        let is_rung = matches!(target.kind, TargetKind::Rung(_));
        let is_other = is_rung && target.name != baseline.name;
        let cost = cost(&columns, index, baseline, words).filter(|_| is_other)?;
        let target = place(target, words);
        Some(words.say("first.cost", &[("cost", &cost), ("place", &target)]))
    };
    let costs: Vec<String> = summary
        .run
        .targets
        .iter()
        .enumerate()
        .filter_map(cost)
        .collect();
    (!costs.is_empty()).then(|| {
        let costs = words.list(&costs);
        words.say("first.verdict", &[("costs", &costs)])
    })
}

/// What a target costs beyond the baseline: time to start, and memory, each if both have it.
fn cost(
    columns: &[Option<&Column<'_>>],
    target: usize,
    baseline: &Target,
    words: &Words,
) -> Option<String> {
    let added = |column: &Column<'_>| {
        let (base, figure) = (
            column.figure_of(&baseline.name)?,
            column.cells[target].figure()?,
        );
        Some(if headline::is_equal(figure) {
            words.text("first.nothing").to_owned()
        } else {
            signed(column.metric.unit, figure.median - base.median)
        })
    };
    let costs: Vec<String> = columns
        .iter()
        .copied()
        .flatten()
        .filter_map(added)
        .collect();
    match costs.as_slice() {
        [] => None,
        [only] => Some(only.clone()),
        _ => Some(costs.join(words.text("first.plus"))),
    }
}

/// Where a program is, in words that need no glossary.
fn place(target: &Target, words: &Words) -> String {
    let known = format!("place.{}", target.name);
    let place = words.find(&known).map(str::to_owned);
    place.unwrap_or_else(|| words.say("first.in-target", &[("target", &target.name)]))
}

/// The experiments of a run, those that everyone asks for before all others.
pub fn by_importance<'s, 'a>(summary: &'s Summary<'a>) -> Vec<&'s Section<'a>> {
    let mut sections: Vec<_> = summary.sections.iter().collect();
    sections.sort_by_key(|section| {
        let mut foremost = FOREMOST.iter();
        let place = foremost.position(|name| *name == section.experiment.name);
        place.unwrap_or(FOREMOST.len())
    });
    sections
}

/// The rungs, with the leading figure of each experiment.
fn ladder(summary: &Summary<'_>, words: &Words) -> TableView {
    let columns = by_importance(summary).into_iter().filter_map(leading);
    let columns: Vec<_> = columns.take(ABREAST).collect();
    let is_rung = |index: usize| {
        let target = &summary.run.targets[index];
        matches!(target.kind, TargetKind::Rung(_))
    };
    let has_cell = |cell: &Cell<'_>| !matches!(cell.outcome, Outcome::NotTaken);
    let has_any = |index: usize| {
        let mut cells = columns.iter().map(|(_, column)| &column.cells[index]);
        cells.any(has_cell)
    };
    let mut ladder = table(summary, &columns, words, |index| {
        is_rung(index) && has_any(index)
    });
    // A version can be long; it stands in the table of all targets.
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

/// Whether the host was quiet: a word, and what says so.
fn tell(quiet: &Quiet<'_>, words: &Words) -> (String, String) {
    let noise = |ratio: f64| units::ratio(ratio);
    match quiet {
        Quiet::Yes(found) => (
            words.text("quiet.yes").to_owned(),
            words.say(
                "quiet.why",
                &[("ratio", &noise(found.ratio)), ("pairs", &found.pairs)],
            ),
        ),
        Quiet::Unknown => (
            words.text("quiet.unknown").to_owned(),
            words.text("quiet.not-measured").to_owned(),
        ),
        Quiet::No(disturbances) => {
            let told: Vec<String> = disturbances
                .iter()
                .map(|disturbance| match disturbance {
                    Disturbance::Noise(found) => {
                        let ratio = noise(found.ratio);
                        words.say("quiet.noise", &[("ratio", &ratio), ("pairs", &found.pairs)])
                    }
                    Disturbance::Drift(figures) => {
                        words.say("quiet.drift", &[("figures", figures)])
                    }
                    Disturbance::Clock(step) => {
                        let step = units::value(Unit::Nanoseconds, *step);
                        words.say("quiet.clock", &[("step", &step)])
                    }
                    Disturbance::Load(load) => words.say("quiet.load", &[("load", load)]),
                })
                .collect();
            let why = told.join(words.text("list.semicolon")) + words.text("list.stop");
            (words.text("quiet.no").to_owned(), why)
        }
    }
}
