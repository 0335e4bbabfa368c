//! Whether a run is honest about itself: delays that were added, what stopped it, what the instrument costs.

use std::fs;

use crate::old::{Place, assert_refused, text};
use isobench_reports::model::{Run, Status, StopReason};

fn run(place: &Place, more: &[&str]) -> Run {
    let mut arguments = vec![
        "run",
        "--profile",
        "quick",
        "--targets",
        "process",
        "--experiments",
        "startup",
        "--out",
        "out",
    ];
    arguments.extend(more);
    let output = place.run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = fs::read(place.path("out/results.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

#[test]
fn an_injected_delay_is_in_the_figures_and_stamped_wherever_they_are_shown() {
    let place = Place::new();
    let run = run(
        &place,
        &["--twin", "--inject", "process-twin:startup=+20ms"],
    );
    let values = |target: &str| -> Vec<f64> {
        let of = run.samples.iter().filter(|sample| {
            sample.target == target && sample.metric == "ready" && sample.status == Status::Ok
        });
        of.filter_map(|sample| sample.value).collect()
    };
    let (twin, plain) = (values("process-twin"), values("process"));
    assert!(twin.iter().all(|value| *value >= 20e6));
    assert!(plain.iter().any(|value| *value < 20e6));
    let stamp = "20000000 ns were added on purpose";
    for sample in run
        .samples
        .iter()
        .filter(|sample| sample.status == Status::Ok)
    {
        let stamped = sample.reason.as_deref() == Some(stamp);
        assert_eq!(stamped, sample.target == "process-twin");
    }
    let html = fs::read_to_string(place.path("out/report.html")).unwrap();
    assert!(html.contains("20.0 ms were added to process-twin in startup on purpose"));
    for (format, shown) in [
        ("json", "\"status\": \"injected\""),
        ("csv", ",injected,"),
        ("markdown", "(a delay was added on purpose)"),
        ("openmetrics", "status=\"injected\""),
    ] {
        let output = place.run(&["report", "out", "--format", format]);
        assert!(text(&output.stdout).contains(shown), "{format}");
    }
}

#[test]
fn every_run_measures_its_instrument_and_its_clocks() {
    let place = Place::new();
    let run = run(&place, &[]);
    let instrument = run.conduct.instrument.unwrap();
    assert_eq!(instrument.pairs.len(), 20);
    assert_eq!(
        (instrument.wake_ups.len(), instrument.marks.len()),
        (30, 30)
    );
    assert!(run.conduct.clock.is_some());
    assert_eq!((run.conduct.stop, run.conduct.injections.len()), (None, 0));
}

#[test]
fn a_run_goes_on_until_it_is_precise_or_its_time_is_up_and_says_which() {
    let place = Place::new();
    let hasty = run(&place, &["--precision", "0.001%", "--max-time", "1s"]);
    let stop = hasty.conduct.stop.unwrap();
    assert_eq!(
        (stop.reason, stop.max_seconds),
        (StopReason::Time, Some(1.0))
    );
    assert!(hasty.duration_seconds < 20.0, "{}", hasty.duration_seconds);
    let output = place.run(&["report", "out", "--out", "again.html"]);
    assert!(output.status.success());
    let html = fs::read_to_string(place.path("again.html")).unwrap();
    assert!(html.contains("the time, 1.00 s, was up"), "no word of it");
    fs::remove_dir_all(place.path("out")).unwrap();
    // `cpu` takes fewer rounds than an interval needs, if only its profile asks.
    let patient = run(&place, &["--precision", "900%", "--experiments", "cpu"]);
    let experiments = patient.experiments.iter();
    assert_eq!(
        experiments.map(|one| &one.name).collect::<Vec<_>>(),
        ["startup", "cpu"]
    );
    assert_eq!(patient.conduct.stop.unwrap().reason, StopReason::Precision);
}

#[test]
fn wishes_that_cannot_be_met_are_refused() {
    let place = Place::new();
    for (flag, value) in [
        ("--precision", "0%"),
        ("--max-time", "5"),
        ("--inject", "disk=+1ms"),
    ] {
        let output = place.run(&["run", flag, value]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains(value),
            "{}",
            text(&output.stderr)
        );
    }
    let output = place.run(&[
        "run",
        "--targets",
        "process",
        "--inject",
        "container:startup=+1ms",
        "--out",
        "out",
    ]);
    assert_refused(&output, "the target `container` isn't in this run");
}
