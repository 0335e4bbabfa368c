//! Claims 4 and 6: how fast programs and file storage are in a container and in a virtual machine.

use super::evidence::{Answer, Evidence, container_of, machines_of, measured_of};
use super::quote::Quote;
use super::{Finding, Verdict};
use crate::figures::summary::{Column, Section};
use crate::model::TargetFamily;
use crate::schema::{cpu, disk};

/// The most comparisons that a card quotes.
const QUOTED: usize = 6;

/// Claim 4: programs run faster in a container.
pub fn programs(evidence: &Evidence<'_, '_>) -> Finding {
    compare(evidence, cpu::NAME, "depends.program")
}

/// Claim 6: storage is faster in a container.
pub fn storage(evidence: &Evidence<'_, '_>) -> Finding {
    compare(evidence, disk::NAME, "depends.access")
}

/// How the container compares with the machines in an experiment.
#[derive(Default)]
struct Tally {
    answers: Vec<Answer>,
    quoted: Vec<(Answer, Quote)>,
    faster: Vec<String>,
    not_faster: Vec<String>,
    unknown: usize,
}

fn compare(evidence: &Evidence<'_, '_>, experiment: &'static str, depends: &str) -> Finding {
    let Some(section) = evidence.summary.section(experiment).filter(|section| {
        let mut columns = section.columns.iter();
        columns.any(Column::has_figures)
    }) else {
        return evidence.without_experiment(experiment);
    };
    let has = |is_wanted: fn(TargetFamily) -> bool| {
        let mut columns = section.columns.iter();
        columns.any(|column| !measured_of(column, is_wanted).is_empty())
    };
    if !has(|family| family == TargetFamily::Container) {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    }
    if !has(TargetFamily::is_machine) {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    }
    let tally = tally(evidence, section);
    let verdict = Verdict::of(&tally.answers);
    let words = evidence.words;
    let because = match verdict {
        Verdict::Depends => words.text(depends).to_owned(),
        Verdict::Undecided => words.text("undecided.wide").to_owned(),
        Verdict::Supported | Verdict::Refuted => String::new(),
    };
    Finding {
        verdict,
        because,
        nuance: nuance(evidence, &tally),
        figures: quoted(tally),
        wanted: (verdict == Verdict::Undecided).then(|| words.text("wanted.rounds").to_owned()),
        experiment: Some(experiment),
    }
}

fn tally(evidence: &Evidence<'_, '_>, section: &Section<'_>) -> Tally {
    let mut tally = Tally::default();
    for column in &section.columns {
        let Some(container) = container_of(column) else {
            continue;
        };
        for machine in machines_of(column) {
            let quote = evidence.quote_machine(column, &machine, &container);
            let better = column.metric.better;
            let answer = Answer::is_container_better(better, machine.figure, container.figure);
            let title = &column.metric.title;
            let Some(answer) = answer else {
                tally.unknown += 1;
                continue;
            };
            let list = match answer {
                Answer::Agrees => &mut tally.faster,
                Answer::Disagrees => &mut tally.not_faster,
            };
            if !list.contains(title) {
                list.push(title.clone());
            }
            tally.answers.push(answer);
            tally.quoted.extend(quote.map(|quote| (answer, quote)));
        }
    }
    tally
}

/// The comparisons to quote: of many, some that agree with the claim and some that disagree.
fn quoted(tally: Tally) -> Vec<Quote> {
    let (faster, others): (Vec<_>, Vec<_>) = tally
        .quoted
        .into_iter()
        .partition(|(answer, _)| *answer == Answer::Agrees);
    let half = QUOTED / 2;
    let few = faster.len().min(QUOTED - others.len().min(half));
    let rest = QUOTED - few;
    let kept = faster
        .into_iter()
        .take(few)
        .chain(others.into_iter().take(rest));
    kept.map(|(_, quote)| quote).collect()
}

/// In which metrics the container is faster, in which it isn't, and how many comparisons are
/// unclear.
fn nuance(evidence: &Evidence<'_, '_>, tally: &Tally) -> Vec<String> {
    let words = evidence.words;
    let told = |name: &str, titles: &[String]| {
        let metrics = titles.join(words.text("list.semicolon"));
        (!titles.is_empty()).then(|| words.say(name, &[("metrics", &metrics)]))
    };
    let unknown =
        (tally.unknown > 0).then(|| words.say("nuance.unknown", &[("count", &tally.unknown)]));
    [
        told("nuance.faster", &tally.faster),
        told("nuance.not-faster", &tally.not_faster),
        unknown,
    ]
    .into_iter()
    .flatten()
    .collect()
}
