//! Claims 3, 5 and 7: how much of the host a container and a virtual machine take.

use super::evidence::{Answer, Evidence, Standing, TargetFigure, container_of, machines_of};
use super::{Finding, Verdict};
use crate::figures::summary::Column;
use crate::model::{Better, TargetFamily};
use crate::schema::{MetricSchema, density, memory, startup};

/// Claim 3: containers use resources better, in memory and in processor time.
pub fn memory_and_processor(evidence: &Evidence<'_, '_>) -> Finding {
    compare(
        evidence,
        &[
            (memory::NAME, memory::CHARGE),
            (startup::NAME, startup::CPU),
        ],
    )
}

/// Claim 5: less memory is lost in a container.
pub fn memory(evidence: &Evidence<'_, '_>) -> Finding {
    let mut finding = compare(evidence, &[(memory::NAME, memory::CHARGE)]);
    finding.nuance.extend(kernel_memory(evidence));
    finding
}

/// Claim 7: one host runs many more containers, by the memory of one more idle instance.
pub fn density(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence
        .column(density::NAME, density::PER_INSTANCE)
        .filter(|column| column.has_figures())
    else {
        return evidence.without_experiment(density::NAME);
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

/// Whether a host has room for many more containers than virtual machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Many {
    /// There is room for at least twice as many containers.
    Yes,
    /// There is room for more containers, but not for twice as many, or the interval leaves that
    /// open.
    Some,
    /// There is room for as many containers, or for fewer.
    No,
    /// The interval leaves everything open.
    Unknown,
}

fn many_more(machine: &TargetFigure<'_, '_>, container: &TargetFigure<'_, '_>) -> Many {
    const MANY: f64 = 2.0;
    let interval = machine
        .figure
        .series
        .ratio_interval(&container.figure.series);
    match (Standing::of(machine.figure, container.figure), interval) {
        (_, Some(interval)) if interval.low >= MANY => Many::Yes,
        (Standing::Alike | Standing::Below, _) => Many::No,
        (Standing::Above, _) => Many::Some,
        (Standing::Unknown, _) => Many::Unknown,
    }
}

/// Compares every virtual machine with the container in these metrics, of which less is better.
fn compare(evidence: &Evidence<'_, '_>, metrics: &[(&'static str, MetricSchema)]) -> Finding {
    let columns: Vec<(&'static str, &Column<'_>)> = metrics
        .iter()
        .filter_map(|(experiment, metric)| {
            Some((*experiment, evidence.column(experiment, *metric)?))
        })
        .filter(|(_, column)| column.has_figures())
        .collect();
    let Some((experiment, first)) = columns.first() else {
        return evidence.without_experiment(memory::NAME);
    };
    let Some(container) = container_of(first) else {
        return evidence
            .without_targets(|family| family == TargetFamily::Container, "side.container");
    };
    let machines = machines_of(first);
    if machines.is_empty() {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    }
    let mut answers = Vec::new();
    let mut figures = vec![evidence.quote(first.metric.unit, &container)];
    for (_, column) in &columns {
        let Some(container) = container_of(column) else {
            continue;
        };
        for machine in machines_of(column) {
            let (machine_figure, container_figure) = (machine.figure, container.figure);
            let lower = Better::Lower;
            answers.extend(Answer::is_container_better(
                lower,
                machine_figure,
                container_figure,
            ));
            figures.extend(evidence.quote_machine(column, &machine, &container));
        }
    }
    let verdict = Verdict::of(&answers);
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

/// How much of a machine's memory the proportional set size leaves out. Whoever measures by that
/// size misses this memory.
fn kernel_memory(evidence: &Evidence<'_, '_>) -> Option<String> {
    let (charge, pss) = (
        evidence.column(memory::NAME, memory::CHARGE)?,
        evidence.column(memory::NAME, memory::PSS)?,
    );
    let machine: TargetFigure<'_, '_> = machines_of(charge).into_iter().next()?;
    let pss = pss.figure_of(&machine.target.name)?.median;
    // A proportional set size above the charge counts pages of files that others were charged for.
    // The sentence isn't about those.
    let less = (pss < machine.figure.median).then_some(pss)?;
    let bytes = |value| crate::words::unbroken(charge.metric.unit, value);
    let (pss, charge) = (bytes(less), bytes(machine.figure.median));
    Some(evidence.words.say(
        "nuance.kernel-memory",
        &[
            ("target", &machine.target.name),
            ("charge", &charge),
            ("pss", &pss),
        ],
    ))
}
