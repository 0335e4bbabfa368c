//! Claims 3, 5 and 7: what a container and a virtual machine take of the host.

use super::evidence::{
    Evidence, Measured, Standing, container_of, is_container_better, machines_of, standing,
    together_say,
};
use super::{Finding, Verdict};
use crate::figures::summary::Column;
use crate::model::{Better, TargetFamily};
use crate::schema::{MetricSchema, density, memory, startup};

/// Claim 3: containers use resources better, in memory and in processor time.
pub fn all(evidence: &Evidence<'_, '_>) -> Finding {
    hold(
        evidence,
        &[
            (memory::NAME, memory::CHARGE),
            (startup::NAME, startup::CPU),
        ],
    )
}

/// Claim 5: less memory is lost in a container.
pub fn memory(evidence: &Evidence<'_, '_>) -> Finding {
    let mut finding = hold(evidence, &[(memory::NAME, memory::CHARGE)]);
    finding.nuance.extend(kernel_memory(evidence));
    finding
}

/// Claim 7: one host runs many more containers, by what one more idle instance takes of its memory.
pub fn density(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence
        .column(density::NAME, density::PER_INSTANCE)
        .filter(|column| column.has_figures())
    else {
        return evidence.without(density::NAME);
    };
    let Some(container) = container_of(column) else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let machines = machines_of(column);
    if machines.is_empty() {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    }
    let many = machines
        .iter()
        .map(|machine| many_more(machine, &container));
    let many: Vec<Many> = many.collect();
    let all = |wanted: Many| many.iter().all(|many| *many == wanted);
    let (verdict, because) = if all(Many::Unknown) {
        (Verdict::Undecided, evidence.words.text("undecided.wide"))
    } else if all(Many::Yes) {
        (Verdict::Supported, "")
    } else if all(Many::No) {
        (Verdict::Refuted, "")
    } else {
        (Verdict::Depends, evidence.words.text("depends.machine"))
    };
    let unit = column.metric.unit;
    let ratios = machines
        .iter()
        .filter_map(|machine| evidence.quote_machine(column, machine, &container));
    Finding {
        verdict,
        because: because.to_owned(),
        figures: [evidence.quote(unit, &container)]
            .into_iter()
            .chain(ratios)
            .collect(),
        nuance: vec![evidence.words.text("nuance.idle").to_owned()],
        wanted: (verdict == Verdict::Undecided)
            .then(|| evidence.words.text("wanted.rounds").to_owned()),
        experiment: Some(density::NAME),
    }
}

/// Whether a host has room for many more containers than machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Many {
    /// For at least twice as many.
    Yes,
    /// For more, but not for twice as many; or that can't be told.
    Some,
    /// For as many, or for fewer.
    No,
    /// Nothing can be told.
    Unknown,
}

fn many_more(machine: &Measured<'_, '_>, container: &Measured<'_, '_>) -> Many {
    const MANY: f64 = 2.0;
    let interval = machine
        .figure
        .series
        .ratio_interval(&container.figure.series);
    match (standing(machine.figure, container.figure), interval) {
        (_, Some(interval)) if interval.low >= MANY => Many::Yes,
        (Standing::Alike | Standing::Below, _) => Many::No,
        (Standing::Above, _) => Many::Some,
        (Standing::Unknown, _) => Many::Unknown,
    }
}

/// Holds every virtual machine against the container in these metrics, of which less is better.
fn hold(evidence: &Evidence<'_, '_>, metrics: &[(&'static str, MetricSchema)]) -> Finding {
    let columns: Vec<(&'static str, &Column<'_>)> = metrics
        .iter()
        .filter_map(|(experiment, metric)| {
            Some((*experiment, evidence.column(experiment, *metric)?))
        })
        .filter(|(_, column)| column.has_figures())
        .collect();
    let Some((experiment, first)) = columns.first() else {
        return evidence.without(memory::NAME);
    };
    let Some(container) = container_of(first) else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let machines = machines_of(first);
    if machines.is_empty() {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    }
    let mut known = Vec::new();
    let mut figures = vec![evidence.quote(first.metric.unit, &container)];
    for (_, column) in &columns {
        let Some(container) = container_of(column) else {
            continue;
        };
        for machine in machines_of(column) {
            let better = is_container_better(Better::Lower, machine.figure, container.figure);
            known.extend(better);
            figures.extend(evidence.quote_machine(column, &machine, &container));
        }
    }
    let verdict = together_say(&known);
    let nuance = [evidence.dominant(first.metric.unit, &container)]
        .into_iter()
        .chain(
            machines
                .iter()
                .take(1)
                .map(|one| evidence.dominant(first.metric.unit, one)),
        );
    Finding {
        verdict,
        because: because(evidence, verdict, columns.len()),
        figures,
        nuance: nuance.flatten().collect(),
        wanted: (verdict == Verdict::Undecided)
            .then(|| evidence.words.text("wanted.rounds").to_owned()),
        experiment: Some(experiment),
    }
}

/// What a verdict depends on, or why there is none.
fn because(evidence: &Evidence<'_, '_>, verdict: Verdict, metrics: usize) -> String {
    let name = match (verdict, metrics) {
        (Verdict::Depends, 1) => "depends.machine",
        (Verdict::Depends, _) => "depends.resource",
        (Verdict::Undecided, _) => "undecided.wide",
        _ => return String::new(),
    };
    evidence.words.text(name).to_owned()
}

/// How much of a machine's charge the proportional set size leaves out: figures in that measure miss it.
fn kernel_memory(evidence: &Evidence<'_, '_>) -> Option<String> {
    let (charge, pss) = (
        evidence.column(memory::NAME, memory::CHARGE)?,
        evidence.column(memory::NAME, memory::PSS)?,
    );
    let machine: Measured<'_, '_> = machines_of(charge).into_iter().next()?;
    let pss = pss.figure_of(&machine.target.name)?.median;
    // Above the charge are pages of files that others were charged with: that is another story.
    let less = (pss < machine.figure.median).then_some(pss)?;
    let together = |value| crate::words::together(charge.metric.unit, value);
    let (pss, charge) = (together(less), together(machine.figure.median));
    Some(evidence.words.say(
        "nuance.kernel-memory",
        &[
            ("target", &machine.target.name),
            ("charge", &charge),
            ("pss", &pss),
        ],
    ))
}
