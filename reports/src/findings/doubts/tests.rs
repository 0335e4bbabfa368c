//! Doubts about synthetic runs, one of each kind.

use super::*;
use crate::figures::summary::Summary;
use crate::fixture;
use crate::model::{ClockOffset, Injection, Run, Sample, Sign};
use crate::words::{Language, Words};

fn names(run: &Run) -> Vec<&'static str> {
    of(&Summary::of(run)).iter().map(Doubt::name).collect()
}

fn each(run: &mut Run, is_of: impl Fn(&Sample) -> bool, change: impl Fn(&mut Sample)) {
    let samples = run.samples.iter_mut().filter(|sample| is_of(sample));
    samples.for_each(change);
}

fn scale(sample: &mut Sample, factor: f64) {
    sample.value = sample.value.map(|value| value * factor);
}

#[test]
fn an_honest_run_has_outliers_and_nothing_else() {
    assert_eq!(names(&fixture::run()), ["outliers"]);
}

#[test]
fn an_injection_and_a_clock_step_are_told_first() {
    let mut run = fixture::run();
    run.conduct.injections.push(Injection {
        target: "container".to_owned(),
        experiment: "startup".to_owned(),
        delay_ns: 500_000,
    });
    let offset = |after_ns| {
        Some(ClockOffset {
            before_ns: i64::MIN,
            after_ns,
        })
    };
    run.conduct.clock = offset(i64::MAX);
    assert_eq!(names(&run)[..2], ["injected", "clock-step"]);
    let summary = Summary::of(&run);
    assert_eq!(
        of(&summary)[0].tell(&Words::of(Language::English)),
        "500 µs were added to container in startup on purpose: its figures include this delay"
    );
    run.conduct.clock = offset(i64::MIN + 900_000);
    assert!(!names(&run).contains(&"clock-step"));
}

#[test]
fn a_target_below_its_floor_is_told_with_the_floor() {
    let mut run = fixture::run();
    let is_of = |sample: &Sample| sample.target == "container" && sample.metric == "ready";
    each(&mut run, is_of, |sample| scale(sample, 0.5));
    assert!(!names(&run).contains(&"below-floor"));
    run.targets[1].floor = Some("namespaces".to_owned());
    let summary = Summary::of(&run);
    let found = of(&summary);
    assert_eq!(found[0].name(), "below-floor");
    let told = found[0].tell(&Words::of(Language::English));
    assert!(
        told.starts_with("container, startup ready is 0.79× of namespaces, "),
        "{told}"
    );
    each(&mut run, is_of, |sample| scale(sample, 0.1));
    run.targets[1].floor = None;
    assert!(
        names(&run).contains(&"below-floor"),
        "below the bare process"
    );
}

#[test]
fn parts_beyond_their_whole_are_told() {
    let mut run = fixture::run();
    let is_of = |sample: &Sample| {
        sample.target == "container" && sample.part == "clone" && sample.round > 17
    };
    each(&mut run, is_of, |sample| scale(sample, 2.0));
    let summary = Summary::of(&run);
    assert!(matches!(
        of(&summary)[0],
        Doubt::Figure(_, FigureDoubt::NegativePhase { samples: 2 })
    ));
    // Parts of a difference may exceed their whole.
    run.experiments[0].metrics[0].sign = Sign::Any;
    assert!(!names(&run).contains(&"negative-phase"));
}

#[test]
fn equal_samples_a_throughput_beyond_the_device_s_drift_and_two_peaks_are_told() {
    let equal = |sample: &Sample| sample.target == "docker" && sample.metric == "teardown";
    let mut run = fixture::run();
    each(&mut run, equal, |sample| sample.value = Some(4e6));
    assert_eq!(names(&run)[0], "all-equal");
    let direct = |sample: &Sample| sample.target == "bwrap" && sample.metric == "seq-read-direct";
    let mut run = fixture::run();
    each(&mut run, direct, |sample| scale(sample, 2.0));
    assert_eq!(names(&run)[0], "above-device");
    let mut run = fixture::run();
    each(&mut run, equal, |sample| {
        scale(sample, 1.0 + f64::from(sample.round) / 10.0);
    });
    assert_eq!(names(&run)[0], "drift");
    let mut run = fixture::run();
    let extra: Vec<Sample> = (20..80)
        .map(|round| {
            let known = run
                .samples
                .iter()
                .find(|sample| equal(sample) && sample.round == 9);
            let mut sample = known.unwrap().clone();
            sample.round = round;
            scale(&mut sample, if round % 2 == 0 { 3.0 } else { 1.0 });
            sample
        })
        .collect();
    run.samples.extend(extra);
    assert!(names(&run).contains(&"two-peaks"), "{:?}", names(&run));
}
