//! What isolation costs a timed command, in a sentence.

use crate::figures::summary::{Cell, Column, Figure, Section};
use crate::model::{MetricFamily, Target, TargetKind};
use crate::schema::time;
use crate::words::text::one_line;
use crate::words::units;
use crate::words::{Words, signed, unbroken};

/// Longest command line in a sentence, in characters.
const COMMAND: usize = 60;

/// How long the command takes in the baseline, and what the other rungs add; if no rung has a
/// figure, what the peers add. Nothing if the experiment times no command, or if there is nothing to
/// compare.
pub fn sentence(section: &Section<'_>, baseline: &Target, words: &Words) -> Option<String> {
    let column = section.leading()?;
    let is_time = time::is_time(&section.experiment.name);
    let base = column.figure_of(&baseline.name).filter(|_| is_time)?;
    let of = |is_rung: bool| {
        let is_told = |cell: &&Cell<'_>| {
            let is_same_kind = matches!(cell.target.kind, TargetKind::Rung(_)) == is_rung;
            let is_floor = cell.target.kind == TargetKind::Floor;
            cell.target.name != baseline.name && is_same_kind && !is_floor
        };
        let cells = column.cells.iter().filter(is_told);
        let phrases = cells.filter_map(|cell| phrase(column, cell, (baseline, base), words));
        phrases.collect::<Vec<_>>()
    };
    let rungs = of(true);
    let costs = if rungs.is_empty() { of(false) } else { rungs };
    if costs.is_empty() {
        return None;
    }
    let text = match column.metric.family {
        MetricFamily::StartTime => "time.is-ready",
        _ => "time.takes",
    };
    let values: [(&str, &dyn std::fmt::Display); 4] = [
        ("command", &one_line(command(section), COMMAND)),
        ("base", &unbroken(column.metric.unit, base.median)),
        ("place", &place(baseline, words)),
        ("costs", &words.list(&costs)),
    ];
    Some(words.say(text, &values))
}

/// The command line, or the name of the command if the file has none.
fn command<'s>(section: &'s Section<'_>) -> &'s str {
    let name = &section.experiment.name;
    let line = section.experiment.command.as_deref();
    line.unwrap_or(time::command(name).unwrap_or(name))
}

fn place(baseline: &Target, words: &Words) -> String {
    match baseline.kind {
        TargetKind::Rung(0) => words.text("time.as-process").to_owned(),
        _ => words.say_one("first.in-target", "target", &baseline.name),
    }
}

/// What a target adds to the bare process, or the target's own time beside another baseline's.
fn phrase(
    column: &Column<'_>,
    cell: &Cell<'_>,
    (baseline, base): (&Target, &Figure<'_>),
    words: &Words,
) -> Option<String> {
    let figure = cell.figure()?;
    let target = &cell.target.name;
    let (unit, is_process) = (column.metric.unit, baseline.kind == TargetKind::Rung(0));
    if figure.is_no_different() {
        let text = if is_process {
            "finding.nothing-in"
        } else {
            "finding.no-difference-in"
        };
        return Some(words.say_one(text, "target", target));
    }
    let value = if is_process {
        signed(unit, figure.median - base.median)
    } else {
        unbroken(unit, figure.median)
    };
    let ratio = units::ratio(figure.ratio?.value);
    let values: [(&str, &dyn std::fmt::Display); 3] =
        [("value", &value), ("target", target), ("ratio", &ratio)];
    Some(words.say("finding.in-with-ratio", &values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::summary::Summary;
    use crate::fixture;
    use crate::model::Run;
    use crate::words::Language;

    fn told(run: &Run, baseline: Option<&str>) -> Vec<Option<String>> {
        let summary = Summary::against(run, baseline);
        let words = Words::of(Language::English);
        let sections = summary.sections.iter();
        let sentences = sections.map(|section| sentence(section, summary.baseline?, &words));
        sentences.collect()
    }

    #[test]
    fn a_command_s_time_and_what_each_rung_adds() {
        let mut run = fixture::run();
        fixture::only_time(&mut run);
        let [server, command] = &told(&run, None)[..] else {
            panic!("two commands");
        };
        let beside = &told(&run, Some("container"))[1];
        let sentences = [server, command, beside].map(|sentence| sentence.as_deref().unwrap());
        insta::assert_snapshot!(sentences.join("\n"));
    }

    #[test]
    fn peers_are_told_where_no_rung_is_and_other_experiments_never() {
        let mut run = fixture::run();
        assert!(told(&run, None).iter().all(Option::is_none));
        fixture::only_time(&mut run);
        run.samples.retain(|sample| sample.target != "container");
        let sentence = told(&run, None).swap_remove(1).unwrap();
        assert!(sentence.contains("in bwrap"), "{sentence}");
        run.samples.retain(|sample| sample.target == "process");
        assert_eq!(told(&run, None), [None, None]);
    }
}
