//! Figures of a synthetic run.

use super::*;
use crate::fixture;

#[test]
fn every_target_has_its_cell_in_every_column() {
    let run = fixture::run();
    let summary = Summary::of(&run);
    for column in summary.sections.iter().flat_map(|section| &section.columns) {
        let names: Vec<_> = column.cells.iter().map(|cell| &cell.target.name).collect();
        assert_eq!(
            names,
            run.targets
                .iter()
                .map(|target| &target.name)
                .collect::<Vec<_>>()
        );
    }
}

#[test]
fn the_baseline_has_no_ratio_and_others_do() {
    let run = fixture::run();
    let summary = Summary::of(&run);
    assert_eq!(summary.baseline.unwrap().name, "process");
    let ready = summary.sections[0].leading().unwrap();
    assert_eq!(ready.figure_of("process").unwrap().ratio, None);
    let ratio = ready.figure_of("container").unwrap().ratio.unwrap();
    let interval = ratio.interval.unwrap();
    assert!(ratio.value > 1.0 && interval.low <= ratio.value && ratio.value <= interval.high);
}

#[test]
fn warm_ups_and_failures_stay_out_of_figures() {
    let run = fixture::run();
    let summary = Summary::of(&run);
    let cell = &summary.sections[0].columns[0].cells[1];
    let figure = cell.figure().unwrap();
    assert_eq!((figure.count, cell.failed()), (fixture::GOOD - 1, 1));
    assert_eq!(cell.failures[0].reason, "timed out after 5 s");
}

#[test]
fn what_is_missing_says_why() {
    let run = fixture::run();
    let summary = Summary::of(&run);
    let cells = &summary.sections[0].columns[0].cells;
    let unavailable = cells
        .iter()
        .find(|cell| cell.target.name == "microvm-linux")
        .unwrap();
    assert!(
        matches!(unavailable.content, CellContent::Unavailable(reason) if reason.contains("software KVM"))
    );
    let mut none = run.clone();
    none.samples.clear();
    let summary = Summary::of(&none);
    assert!(matches!(
        summary.sections[0].columns[0].cells[0].content,
        CellContent::NotTaken
    ));
}

#[test]
fn a_polled_time_may_be_shorter_by_the_period_and_so_may_its_ratio() {
    let mut run = fixture::run();
    let exact = Summary::of(&run);
    let of = |summary: &Summary<'_>| {
        let figure = summary.sections[0].columns[0].figure_of("container");
        let figure = figure.unwrap();
        (figure.interval.unwrap(), figure.ratio.unwrap())
    };
    let (interval, ratio) = of(&exact);
    run.experiments[0].metrics[0].resolution = Some(2e5);
    let (late, late_ratio) = of(&Summary::of(&run));
    assert!((interval.low - late.low - 2e5).abs() < 1e-3);
    assert!((interval.high - late.high).abs() < 1e-3);
    let (wide, narrow) = (late_ratio.interval.unwrap(), ratio.interval.unwrap());
    assert!(wide.low < narrow.low && narrow.high < wide.high);
    assert_eq!(late_ratio.test.difference, Difference::Worse);
    // The container starts some 1.9 ms later than the process, which takes 0.6 ms.
    run.experiments[0].metrics[0].resolution = Some(3e6);
    let (_, unresolved) = of(&Summary::of(&run));
    assert_eq!(unresolved.interval, None);
    assert_eq!(unresolved.test.difference, Difference::NoDifference);
}
