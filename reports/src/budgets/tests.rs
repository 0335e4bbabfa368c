//! Budgets on the synthetic run, whose container starts in some 2.4 ms, 4 times the bare process.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;
use crate::fixture::{self, plain};
use crate::model::{Sample, Status, TOTAL};
use crate::terminal::budgets::render;

fn budget(text: &str) -> Budget {
    text.parse().unwrap()
}

fn judged(
    text: &str,
    new: &Run,
    base: Option<&Run>,
) -> Result<(Verdict, Option<Outlook>), BudgetError> {
    let budgets = [budget(text)];
    let judgement = judge(&budgets, new, base)?.remove(0);
    Ok((judgement.verdict, judgement.outlook))
}

fn verdict(text: &str, new: &Run, base: Option<&Run>) -> Verdict {
    judged(text, new, base).unwrap().0
}

#[test]
fn a_budget_is_judged_by_the_whole_interval() {
    let run = fixture::run();
    for (text, expected) in [
        ("container startup <= 1 s", Verdict::Kept),
        ("container startup ready <= 10x process", Verdict::Kept),
        ("container startup <= 1 ms", Verdict::Broken),
        ("container startup <= 1.5x process", Verdict::Broken),
        ("microvm-bare memory <= 3 MiB", Verdict::Kept),
        ("microvm-bare memory <= 1 MB", Verdict::Broken),
        (
            "container disk rand-read-direct >= 0.5x process",
            Verdict::Kept,
        ),
        (
            "microvm-bare rand-read-direct >= 0.9x process",
            Verdict::Broken,
        ),
    ] {
        assert_eq!(verdict(text, &run, None), expected, "{text}");
    }
    let budgets = [budget("container startup <= 1 s")];
    let median = judge(&budgets, &run, None).unwrap()[0].measured;
    let limit = format!("container startup <= {} ns", median.value);
    assert_eq!(
        judged(&limit, &run, None),
        Ok((Verdict::Undecided, Some(Outlook::Unknown)))
    );
    let near = format!(
        "container startup <= {} ns",
        f64::midpoint(median.value, median.interval.unwrap().high)
    );
    let rounds = u64::from(fixture::ROUNDS - 2);
    // Half of the way takes four times the rounds.
    assert_eq!(
        judged(&near, &run, None),
        Ok((Verdict::Undecided, Some(Outlook::Rounds(3 * rounds))))
    );
}

#[test]
fn the_base_is_the_other_run_s_same_figure() {
    let base = fixture::run();
    let scaled = |factor: f64| {
        let mut new = base.clone();
        for sample in &mut new.samples {
            sample.value = sample.value.map(|value| value * factor);
        }
        new
    };
    let text = "container startup ready <= base + 50 %";
    assert_eq!(verdict(text, &scaled(1.0), Some(&base)), Verdict::Kept);
    assert_eq!(verdict(text, &scaled(3.0), Some(&base)), Verdict::Broken);
    assert_eq!(verdict(text, &scaled(1.5), Some(&base)), Verdict::Undecided);
    // Another host's speed is no matter for a ratio to another target.
    let ratio = "container startup <= 10x process";
    assert_eq!(verdict(ratio, &scaled(3.0), None), Verdict::Kept);
    assert_eq!(
        judged(text, &base, None),
        Err(BudgetError::NoBase(text.to_owned()))
    );
}

#[test]
fn a_far_quantile_says_how_many_rounds_an_interval_takes() {
    let run = fixture::run();
    let (few, outlook) = judged("container startup p95 <= 12x process", &run, None).unwrap();
    assert_eq!(few, Verdict::Undecided);
    assert_eq!(outlook, Some(Outlook::RoundsForInterval(59 - 18)));
    let mut many = run.clone();
    for copy in 1..6 {
        let again = run
            .samples
            .iter()
            .filter(|sample| sample.status == Status::Ok);
        let again = again.cloned().map(|mut sample| {
            sample.round += copy * fixture::ROUNDS;
            sample
        });
        many.samples.extend(again.collect::<Vec<_>>());
    }
    assert_eq!(
        verdict("container startup p95 <= 12x process", &many, None),
        Verdict::Kept
    );
    assert_eq!(
        verdict("container startup p95 <= 1.1x process", &many, None),
        Verdict::Broken
    );
    assert_eq!(
        verdict("container startup p95 <= 1 s", &many, None),
        Verdict::Kept
    );
}

#[test]
fn too_few_samples_leave_a_budget_undecided_however_clear_it_looks() {
    let mut run = fixture::run();
    run.samples.retain(|sample| sample.round <= 5);
    let (verdict, outlook) = judged("process memory <= 1 GiB", &run, None).unwrap();
    assert_eq!(verdict, Verdict::Undecided);
    assert_eq!(outlook, Some(Outlook::RoundsForInterval(1)));
}

#[test]
fn a_budget_that_can_t_be_judged_is_an_error_that_says_what_there_is() {
    let mut run = fixture::run();
    fixture::add_time(&mut run);
    for (text, hint) in [
        (
            "kata startup <= 3 ms",
            "`kata`; there are process, container",
        ),
        ("container startup <= 3x kata", "`kata`"),
        (
            "container weather <= 3 ms",
            "`weather`; there are startup, memory, disk",
        ),
        (
            "container startup weather <= 3 ms",
            "startup ready, startup teardown",
        ),
        (
            "container ready <= 3 ms",
            "say which of startup ready, time",
        ),
        ("microvm-linux startup <= 3 ms", "the host has software KVM"),
        (
            "container startup teardown p95 <= 3 ms",
            "only times of starts",
        ),
        (
            "container startup <= 3 MiB",
            "`ready` takes ns, us, ms or s",
        ),
        ("container startup <= 3", "`ready` takes ns, us, ms or s"),
        ("container startup >= 3 ms", "less is better; write <="),
        (
            "container disk rand-read-direct <= 3 /s",
            "more is better; write >=",
        ),
    ] {
        let error = judged(text, &run, None).unwrap_err().to_string();
        assert!(error.contains(hint), "{text}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_lines_say_what_was_measured_and_what_it_takes() {
    let run = fixture::run();
    let budgets = [
        "container startup <= 10x process",
        "container startup p95 <= 12x process",
        "container startup ready <= 2.0 ms",
        "container startup ready <= base + 2 %",
    ]
    .map(budget);
    let judgements = judge(&budgets, &run, Some(&run)).unwrap();
    insta::assert_snapshot!(render(&judgements, plain(80)));
    let narrow = render(&judgements, plain(30));
    assert!(
        narrow.lines().all(|line| line.chars().count() <= 30),
        "{narrow}"
    );
}

/// Adds `rounds` to a run of the bare process and of a container that takes four times as long.
fn extended(mut run: Run, rounds: u64, rng: &mut ChaCha8Rng) -> Run {
    let template = fixture::run().samples[0].clone();
    let first = run.samples.last().map_or(0, |last| last.round + 1);
    for round in (first..).take(usize::try_from(rounds).unwrap()) {
        for (target, size) in [("process", 1e6), ("container", 4e6)] {
            let noise: f64 = (0..4).map(|_| rng.random_range(-0.15..0.15_f64)).sum();
            run.samples.push(Sample {
                target: target.to_owned(),
                part: TOTAL.to_owned(),
                round,
                sequence: run.samples.len() as u64,
                value: Some(size * noise.exp()),
                status: Status::Ok,
                reason: None,
                ..template.clone()
            });
        }
    }
    run
}

#[test]
fn so_many_more_rounds_decide_more_often_than_not_and_rightly() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut empty = fixture::run();
    empty.samples.clear();
    let text = "container startup ready <= 4.2x process";
    let (mut undecided, mut kept) = (0, 0);
    for _ in 0..60 {
        let run = extended(empty.clone(), 25, &mut rng);
        let Ok((_, Some(Outlook::Rounds(more @ ..2000)))) = judged(text, &run, None) else {
            continue;
        };
        undecided += 1;
        let decided = verdict(text, &extended(run, more, &mut rng), None);
        assert_ne!(decided, Verdict::Broken);
        kept += usize::from(decided == Verdict::Kept);
    }
    assert!(
        undecided > 30 && 2 * kept > undecided,
        "{kept} of {undecided}"
    );
}
