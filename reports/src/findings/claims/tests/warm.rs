//! Claim 12, which only some runs have.

use super::*;
use crate::schema::start_warm::{COLD, FORK, NAME, RESTORE};
use crate::schema::startup;

/// The fixture's run with figures of `start-warm`: so many milliseconds for each start from a
/// snapshot, a thousand times as much for a cold one, and three times as much for what is put off.
fn run_of(milliseconds: f64) -> Run {
    let mut run = fixture::run();
    let mut experiment = run.experiments[0].clone();
    assert_eq!(experiment.name, startup::NAME);
    NAME.clone_into(&mut experiment.name);
    let metrics = [
        (RESTORE.first, 1.0),
        (COLD.first, 1000.0),
        (RESTORE.tail, 3.0),
        (FORK.first, 0.5),
    ];
    experiment.metrics = metrics
        .iter()
        .map(|(metric, _)| metric.to_metric())
        .collect();
    run.experiments.push(experiment);
    let ready = run.samples.clone().into_iter();
    let ready = ready.filter(|sample| {
        sample.experiment == startup::NAME && sample.metric == "ready" && sample.part == "total"
    });
    for (index, sample) in ready.enumerate() {
        for (metric, factor) in metrics {
            // A spread of some percent.
            let value = milliseconds * 1e6 * factor * (1.0 + (index % 5) as f64 / 100.0);
            run.samples.push(Sample {
                experiment: NAME.to_owned(),
                metric: metric.name.to_owned(),
                value: sample.value.map(|_| value),
                ..sample.clone()
            });
        }
    }
    run
}

#[test]
fn a_run_without_snapshots_has_no_such_claim() {
    let run = fixture::run();
    let cards = cards(&Summary::of(&run), &Words::of(Language::English));
    assert_eq!(cards.len(), 11);
}

#[test]
fn a_start_from_a_snapshot_is_told_with_what_it_leaves_out() {
    let fast = card(&run_of(0.8), 12);
    assert_eq!(fast.verdict, Verdict::Supported);
    assert_eq!(fast.experiment, Some(NAME));
    let nuance = fast.nuance.join("\n");
    for words in [
        "a cold start of microvm-bare takes 8",
        "the next 99 answers take 2.4",
        "its first answer takes 4",
    ] {
        assert!(nuance.contains(words), "{words}: {nuance}");
    }
    assert_eq!(card(&run_of(2.5), 12).verdict, Verdict::Refuted);
    assert_eq!(card(&run_of(0.98), 12).verdict, Verdict::Undecided);
}
