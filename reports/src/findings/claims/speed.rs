//! Claims 4 and 6: how fast programs and their files are in a container and in a virtual machine.

use super::evidence::{
    Evidence, container_of, is_container_better, machines_of, measured_of, together_say,
};
use super::quote::Quote;
use super::{Finding, Verdict};
use crate::figures::summary::{Column, Section};
use crate::model::TargetFamily;
use crate::schema::{cpu, disk};

/// Most comparisons that a card quotes.
const QUOTED: usize = 6;

/// Claim 4: programs run faster in a container.
pub fn programs(evidence: &Evidence<'_, '_>) -> Finding {
    hold(evidence, cpu::NAME, "depends.program")
}

/// Claim 6: storage is faster in a container.
pub fn storage(evidence: &Evidence<'_, '_>) -> Finding {
    hold(evidence, disk::NAME, "depends.access")
}

/// How the container stands to the machines in an experiment.
#[derive(Default)]
struct Tally {
    known: Vec<bool>,
    quoted: Vec<(bool, Quote)>,
    faster: Vec<String>,
    not_faster: Vec<String>,
    unknown: usize,
}

fn hold(evidence: &Evidence<'_, '_>, experiment: &'static str, depends: &str) -> Finding {
    let Some(section) = evidence.section(experiment).filter(|section| {
        let mut columns = section.columns.iter();
        columns.any(Column::has_figures)
    }) else {
        return evidence.without(experiment);
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
    let verdict = together_say(&tally.known);
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
            let better =
                is_container_better(column.metric.better, machine.figure, container.figure);
            let title = &column.metric.title;
            let list = match better {
                Some(true) => &mut tally.faster,
                Some(false) => &mut tally.not_faster,
                None => {
                    tally.unknown += 1;
                    continue;
                }
            };
            if !list.contains(title) {
                list.push(title.clone());
            }
            tally.known.extend(better);
            tally
                .quoted
                .extend(quote.map(|quote| (better == Some(true), quote)));
        }
    }
    tally
}

/// The comparisons to quote: where there are many, some of each side.
fn quoted(tally: Tally) -> Vec<Quote> {
    let (faster, others): (Vec<_>, Vec<_>) =
        tally.quoted.into_iter().partition(|(faster, _)| *faster);
    let half = QUOTED / 2;
    let few = faster.len().min(QUOTED - others.len().min(half));
    let rest = QUOTED - few;
    let kept = faster
        .into_iter()
        .take(few)
        .chain(others.into_iter().take(rest));
    kept.map(|(_, quote)| quote).collect()
}

/// Where the container is faster and where it isn't, and what can't be told.
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
