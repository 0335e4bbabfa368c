//! Comparisons of synthetic runs.

use super::*;
use crate::fixture;
use crate::model::Status;

fn scaled(factor: f64, is_scaled: impl Fn(&str) -> bool) -> Run {
    let mut run = fixture::run();
    for sample in &mut run.samples {
        if is_scaled(&sample.metric) && sample.target == "container" {
            sample.value = sample.value.map(|value| value * factor);
        }
    }
    run
}

fn change_of(base: &Run, new: &Run, target: &str, metric: &str) -> Change {
    let comparison = Comparison::of(base, new, 0.05);
    let row = comparison
        .rows
        .iter()
        .find(|row| (row.target, row.metric.name.as_str()) == (target, metric));
    row.and_then(Row::pair).unwrap().change
}

#[test]
fn a_run_beside_itself_has_no_differences() {
    let run = fixture::run();
    let comparison = Comparison::of(&run, &run, 0.05);
    assert!(!comparison.has_regression() && comparison.obstacles.is_empty());
    assert_eq!(comparison.count(Change::Better), 0);
    assert_eq!(comparison.count(Change::Worse), 0);
    let measured = comparison.rows.len();
    assert!(comparison.count(Change::NoDifference) > measured / 2);
}

#[test]
fn runs_of_other_commands_are_not_compared() {
    let mut base = fixture::run();
    fixture::add_time(&mut base);
    let mut new = base.clone();
    assert!(Comparison::of(&base, &new, 0.05).obstacles.is_empty());
    let mut experiments = new.experiments.iter_mut();
    let timed = experiments.find(|one| one.command.is_some()).unwrap();
    timed.command = Some("another".to_owned());
    let obstacles = Comparison::of(&base, &new, 0.05).obstacles;
    let labels: Vec<_> = obstacles.iter().map(|one| one.label.as_str()).collect();
    assert_eq!(labels.len(), 1);
    assert!(labels[0].starts_with("the command of time"), "{labels:?}");
    assert_eq!(obstacles[0].new.as_deref(), Some("another"));
}

#[test]
fn a_change_is_judged_by_its_metric_s_direction() {
    let base = fixture::run();
    let slower = scaled(1.5, |metric| metric == "ready");
    assert_eq!(
        change_of(&base, &slower, "container", "ready"),
        Change::Worse
    );
    assert_eq!(
        change_of(&slower, &base, "container", "ready"),
        Change::Better
    );
    assert!(Comparison::of(&base, &slower, 0.05).has_regression());
    assert!(!Comparison::of(&slower, &base, 0.05).has_regression());
    let faster_disk = scaled(1.5, |metric| metric == "seq-read-direct");
    assert_eq!(
        change_of(&base, &faster_disk, "container", "seq-read-direct"),
        Change::Better
    );
}

#[test]
fn a_polled_change_below_the_period_is_none_and_its_interval_is_wider() {
    let base = fixture::run();
    let slower = scaled(1.5, |metric| metric == "ready");
    let interval = |base: &Run, new: &Run| {
        let comparison = Comparison::of(base, new, 0.05);
        let mut rows = comparison.rows.iter();
        let row = rows.find(|row| (row.target, &*row.metric.name) == ("container", "ready"));
        row.and_then(Row::pair).unwrap().interval.unwrap()
    };
    let exact = interval(&base, &slower);
    let mut polled = slower.clone();
    polled.experiments[0].metrics[0].resolution = Some(1e5);
    let wider = interval(&base, &polled);
    assert!(wider.low < exact.low && exact.high < wider.high);
    // The change is of some 1.2 ms.
    let mut slowly = slower;
    slowly.experiments[0].metrics[0].resolution = Some(2e6);
    let change = change_of(&base, &slowly, "container", "ready");
    assert_eq!(change, Change::NoDifference);
}

#[test]
fn below_the_threshold_a_change_is_none_and_with_few_samples_it_is_unclear() {
    let base = fixture::run();
    let slower = scaled(1.5, |metric| metric == "ready");
    let tolerant = Comparison::of(&base, &slower, 0.6);
    assert!(!tolerant.has_regression());
    let few = |mut run: Run| {
        run.samples.retain(|sample| sample.round < 4);
        run
    };
    assert_eq!(
        change_of(&few(base), &few(slower), "container", "ready"),
        Change::Unclear
    );
}

#[test]
fn a_figure_that_fails_now_is_lost_and_a_figure_that_was_not_tried_is_not() {
    let base = fixture::run();
    let mut failing = base.clone();
    for sample in &mut failing.samples {
        if sample.target == "bwrap" && sample.metric == "ready" {
            (sample.status, sample.value) = (Status::Failed, None);
            sample.reason = Some("bwrap: no such file".to_owned());
        }
    }
    let comparison = Comparison::of(&base, &failing, 0.05);
    assert!(comparison.has_regression());
    let lost = comparison.rows.iter().find_map(|row| match row.presence {
        Presence::Lost(reason) => Some((row.target, row.metric.name.as_str(), reason)),
        _ => None,
    });
    assert_eq!(lost, Some(("bwrap", "ready", "bwrap: no such file")));
    let mut partial = base.clone();
    partial.experiments.truncate(1);
    partial
        .samples
        .retain(|sample| sample.experiment == "startup");
    let comparison = Comparison::of(&base, &partial, 0.05);
    assert!(!comparison.has_regression());
    let of_memory = |comparison: &Comparison<'_>, is_wanted: fn(&Presence<'_>) -> bool| {
        let mut rows = comparison
            .rows
            .iter()
            .filter(|row| row.experiment == "memory");
        rows.all(|row| is_wanted(&row.presence))
    };
    assert!(of_memory(&comparison, |presence| matches!(
        presence,
        Presence::OnlyInBase
    )));
    let other_way = Comparison::of(&partial, &base, 0.05);
    assert!(of_memory(&other_way, |presence| matches!(
        presence,
        Presence::OnlyInNew
    )));
}

#[test]
fn another_host_kernel_or_kvm_is_an_obstacle_that_is_named() {
    let base = fixture::run();
    for key in ["cpu-model", "kernel", "kvm-kind"] {
        let mut other = base.clone();
        let fact = other.host.facts.iter_mut().find(|fact| fact.key == key);
        fact.unwrap().value = "another\none".to_owned();
        let found = obstacles(&base, &other);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .to_string()
                .ends_with("another\u{fffd}one in the new run")
        );
    }
    let mut busier = base.clone();
    let load = busier.host.facts.iter_mut().find(|fact| fact.key == "load");
    load.unwrap().value = "9".to_owned();
    assert_eq!(obstacles(&base, &busier), []);
}
