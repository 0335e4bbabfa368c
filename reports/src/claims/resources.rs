//! Claims 3 and 5: what a container and a virtual machine take of the host.

use super::evidence::{
    Evidence, Measured, container_of, is_container_better, machines_of, together_say,
};
use super::family::Family;
use super::{Finding, Verdict};
use crate::model::Better;
use crate::summary::Column;

const MEMORY: &str = "memory";

/// Claim 3: containers use resources better, in memory and in processor time.
pub fn all(evidence: &Evidence<'_, '_>) -> Finding {
    hold(evidence, &[(MEMORY, "charge"), ("startup", "cpu")])
}

/// Claim 5: less memory is lost in a container.
pub fn memory(evidence: &Evidence<'_, '_>) -> Finding {
    let mut finding = hold(evidence, &[(MEMORY, "charge")]);
    finding.nuance.extend(kernel_memory(evidence));
    finding
}

/// Holds every virtual machine against the container in these metrics, of which less is better.
fn hold(evidence: &Evidence<'_, '_>, metrics: &[(&'static str, &str)]) -> Finding {
    let columns: Vec<(&'static str, &Column<'_>)> = metrics
        .iter()
        .filter_map(|(experiment, metric)| {
            Some((*experiment, evidence.column(experiment, metric)?))
        })
        .filter(|(_, column)| column.has_figures())
        .collect();
    let Some((experiment, first)) = columns.first() else {
        return evidence.without(MEMORY);
    };
    let Some(container) = container_of(first) else {
        return evidence.without_targets(|family| family == Family::Container, "side.container");
    };
    let machines = machines_of(first);
    if machines.is_empty() {
        return evidence.without_targets(Family::is_machine, "side.machine");
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
            figures.extend(evidence.quote_ratio(column, &machine, &container));
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
        evidence.column(MEMORY, "charge")?,
        evidence.column(MEMORY, "pss")?,
    );
    let machine: Measured<'_, '_> = machines_of(charge).into_iter().next()?;
    let pss = pss.figure_of(machine.target)?.median;
    // Above the charge are pages of files that others were charged with: that is another story.
    let less = (pss < machine.figure.median).then_some(pss)?;
    let together = |value| crate::words::together(charge.metric.unit, value);
    let (pss, charge) = (together(less), together(machine.figure.median));
    Some(evidence.words.say(
        "nuance.kernel-memory",
        &[
            ("target", &machine.target),
            ("charge", &charge),
            ("pss", &pss),
        ],
    ))
}
