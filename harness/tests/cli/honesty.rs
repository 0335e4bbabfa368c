//! A run tells what it did to its figures: the delays that it added, why it stopped, what its
//! instrument costs.

use std::fs;

use crate::support::isobench::{Finished, Isobench};
use crate::support::place::Place;
use isobench_reports::model::{Status, StopReason};

fn run(place: &Place, options: &[&str]) -> Finished {
    let run = place.run().quick().targets("process");
    run.experiments("startup").options(options).succeeds()
}

#[test]
fn an_injected_delay_is_in_the_figures_and_stamped_wherever_they_are_shown() {
    let place = Place::new();
    let delay = ["--twin", "--inject", "process-twin:startup=+20ms"];
    let finished = run(&place, &delay);
    for value in finished.values("process-twin", "ready") {
        assert!(value >= 20e6, "{value}");
    }
    let plain = finished.values("process", "ready");
    assert!(plain.iter().any(|value| *value < 20e6), "{plain:?}");
    let samples = finished.results().samples.iter();
    for sample in samples.filter(|sample| sample.status == Status::Ok) {
        let stamp = "20000000 ns were added on purpose";
        let expected = (sample.target == "process-twin").then_some(stamp);
        assert_eq!(sample.reason.as_deref(), expected, "{}", sample.target);
    }
    let html = finished.saved("report.html");
    assert!(html.contains("20.0 ms were added to process-twin in startup on purpose"));
    for (format, shown) in [
        ("json", "\"status\": \"injected\""),
        ("csv", ",injected,"),
        ("markdown", "(a delay was added on purpose)"),
        ("openmetrics", "status=\"injected\""),
    ] {
        let report = place.isobench(&["report", "out", "--format", format]);
        report.succeeds().prints(shown);
    }
}

#[test]
fn every_run_measures_its_instrument_and_its_clocks() {
    let finished = run(&Place::new(), &[]);
    let conduct = &finished.results().conduct;
    let instrument = conduct.instrument.as_ref().unwrap();
    assert_eq!(instrument.pairs.len(), 20);
    assert_eq!(instrument.wake_ups.len(), 30);
    assert_eq!(instrument.marks.len(), 30);
    assert!(conduct.clock.is_some());
    assert_eq!(conduct.stop, None);
    assert_eq!(conduct.injections, []);
}

#[test]
fn a_run_goes_on_until_it_is_precise_or_its_time_is_up_and_says_which() {
    let place = Place::new();
    let hasty = run(&place, &["--precision", "0.001%", "--max-time", "1s"]);
    let results = hasty.results();
    let stop = results.conduct.stop.as_ref().unwrap();
    assert_eq!(stop.reason, StopReason::Time);
    assert_eq!(stop.max_seconds, Some(1.0));
    assert!(
        results.duration_seconds < 20.0,
        "{}",
        results.duration_seconds
    );
    let report = place.isobench(&["report", "out", "--out", "again.html"]);
    report.succeeds();
    let html = place.read("again.html");
    assert!(
        html.contains("the time limit of 1.00 s was reached"),
        "no word of it"
    );
    fs::remove_dir_all(place.path("out")).unwrap();
    // The quick profile takes fewer rounds of `cpu` than an interval needs; precision asks for
    // more.
    let patient = run(&place, &["--precision", "900%", "--experiments", "cpu"]);
    let results = patient.results();
    let experiments = results.experiments.iter().map(|one| one.name.as_str());
    assert_eq!(experiments.collect::<Vec<_>>(), ["startup", "cpu"]);
    let stop = results.conduct.stop.as_ref().unwrap();
    assert_eq!(stop.reason, StopReason::Precision);
}

#[test]
fn wishes_that_cannot_be_met_are_refused() {
    for (option, value) in [
        ("--precision", "0%"),
        ("--max-time", "5"),
        ("--inject", "disk=+1ms"),
    ] {
        let run = Isobench::run().options(&[option, value]);
        run.ends().has_code(2).says(value);
    }
    let run = Isobench::run().targets("process");
    let run = run.options(&["--inject", "container:startup=+1ms"]);
    run.refuses("the target `container` isn't in this run");
}
