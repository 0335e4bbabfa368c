//! The verdict on a run: what isolation costs on its host, in one sentence.

use crate::figures::summary::{Column, Section, Summary};
use crate::model::{Target, TargetKind};
use crate::schema::{are_of_commands, memory, startup};
use crate::words::{Words, signed};

/// What isolation costs on each rung, in one sentence; nothing unless the baseline is the bare
/// process. The sentences of timed commands take the place of a verdict.
pub fn sentence(summary: &Summary<'_>, words: &Words) -> Option<String> {
    let baseline = summary.baseline?;
    if baseline.kind != TargetKind::Rung(0) || are_of_commands(&summary.run.experiments) {
        return None;
    }
    let columns =
        [startup::NAME, memory::NAME].map(|name| summary.section(name).and_then(Section::leading));
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

/// What a target costs beyond the baseline: time to start and memory, each if both targets have the
/// figure.
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
        Some(if figure.is_no_different() {
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

/// Where the program runs, in words that need no glossary.
fn place(target: &Target, words: &Words) -> String {
    let known = format!("place.{}", target.name);
    let place = words.find(&known).map(str::to_owned);
    place.unwrap_or_else(|| words.say("first.in-target", &[("target", &target.name)]))
}
