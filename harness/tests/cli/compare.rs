//! `isobench compare` and the formats for other programs, on results of real runs.

use std::fs;

use crate::support::isobench::{Finished, Isobench};
use crate::support::place::Place;

/// Measures the bare process's start into the directory `out`.
fn run(place: &Place, out: &str, options: &[&str]) -> Finished {
    let run = place.run_into(out).quick().targets("process");
    run.experiments("startup").options(options).succeeds()
}

fn compare(place: &Place, arguments: &[&str]) -> Isobench {
    place.isobench(&["compare"]).options(arguments)
}

/// Changes the results in the directory `from` and writes them to the file `to`.
fn edit(place: &Place, from: &str, to: &str, change: impl Fn(&mut serde_json::Value)) {
    let json = fs::read(place.path(from).join("results.json")).unwrap();
    let mut value = serde_json::from_slice(&json).unwrap();
    change(&mut value);
    place.write(to, serde_json::to_vec(&value).unwrap());
}

/// Writes the results in the directory `base` to the file `to`, with values from `level` to 9 %
/// more. On a busy host the measured values may spread too far to show a change.
fn level(place: &Place, to: &str, level: f64) {
    edit(place, "base", to, |run| {
        let samples = run["samples"].as_array_mut().unwrap();
        for (sample, hundredths) in samples.iter_mut().zip((0..10).cycle()) {
            sample["value"] = (level * (1.0 + f64::from(hundredths) / 100.0)).into();
        }
    });
}

#[test]
fn a_regression_is_exit_code_one() {
    let place = Place::new();
    run(&place, "base", &[]);
    let same = compare(&place, &["base", "base/results.json"]).succeeds();
    same.prints("0 better, 0 worse");

    level(&place, "fast.json", 1e6);
    level(&place, "slow.json", 3e6);
    let slower = compare(&place, &["fast.json", "slow.json"]).ends();
    slower.has_code(1).prints("worse");
    let tolerant = ["fast.json", "slow.json", "--threshold", "900%"];
    compare(&place, &tolerant).succeeds();
    let faster = compare(&place, &["slow.json", "fast.json", "--format", "json"]).succeeds();
    let json: serde_json::Value = serde_json::from_str(&faster.stdout).unwrap();
    assert_eq!(json["changes"][0]["verdict"], "better");
}

#[test]
fn runs_of_two_hosts_are_compared_only_if_that_is_asked_for() {
    let place = Place::new();
    run(&place, "base", &[]);
    edit(&place, "base", "elsewhere.json", |run| {
        let facts = run["host"]["facts"].as_array_mut().unwrap();
        let kernel = facts.iter_mut().find(|fact| fact["key"] == "kernel");
        kernel.unwrap()["value"] = "Linux 9.9".into();
    });
    compare(&place, &["base", "elsewhere.json"]).refuses("Linux 9.9 in the new run");
    let anyway = compare(&place, &["base", "elsewhere.json", "--anyway"]).succeeds();
    assert!(
        anyway.stdout.starts_with("NOT THE SAME CONDITIONS"),
        "{anyway:?}"
    );
    compare(&place, &["base", "missing"]).refuses("missing");
}

#[test]
fn a_budget_is_kept_broken_or_undecided_each_with_a_code_of_its_own() {
    let place = Place::new();
    run(&place, "base", &[]);
    // From 1.00 to 1.09 ms.
    level(&place, "level.json", 1e6);
    let judged = |budgets: &[&str], runs: &[&str]| {
        place.write("budgets.toml", format!("budgets = {budgets:?}\n"));
        compare(&place, runs).options(&["--budget", "budgets.toml"])
    };
    let [kept, broken, undecided] =
        ["1.2 ms", "0.9 ms", "1.045 ms"].map(|bound| format!("process startup ready <= {bound}"));
    let alone = ["level.json"];
    judged(&[&kept], &alone)
        .succeeds()
        .prints("1 kept, 0 broken, 0 undecided");
    let three = judged(&[&kept, &broken, &undecided], &alone).ends();
    three.has_code(1).prints("1 kept, 1 broken, 1 undecided");
    let open = judged(&[&kept, &undecided], &alone).ends();
    open.has_code(3).prints("would decide if the value stays");
    let relative = "process startup ready <= base + 20 %";
    judged(&[relative], &["level.json", "level.json"]).succeeds();
    judged(&[relative], &alone).refuses("pass the base's results");
    compare(&place, &alone).refuses("one run alone");
}

#[test]
fn a_budget_that_can_t_be_judged_is_bad_input() {
    let place = Place::new();
    run(&place, "base", &[]);
    edit(&place, "base", "elsewhere.json", |run| {
        run["host"]["facts"][0]["value"] = "another".into();
    });
    let judged = |budget: &str, runs: &[&str]| {
        place.write("budgets.toml", format!("budgets = [{budget:?}]\n"));
        compare(&place, runs).options(&["--budget", "budgets.toml"])
    };
    let alone = ["base"];
    judged("kata startup <= 3 ms", &alone).refuses("isn't in the run: `kata`");
    judged("process memory <= 3 MiB", &alone).refuses("isn't in the run: `memory`");
    judged("process startup <= 3 furlongs", &alone).refuses("`furlongs`");
    judged("process startup <= 3 MiB", &alone).refuses("another unit");
    let relative = "process startup <= base + 5 %";
    judged(relative, &["elsewhere.json", "base"]).refuses("not made in the same conditions");
    place.write("budgets.toml", "budgets = []\n");
    let budget = ["--budget", "budgets.toml"];
    compare(&place, &alone)
        .options(&budget)
        .refuses("has no budget");
    let missing = ["--budget", "missing.toml"];
    compare(&place, &alone)
        .options(&missing)
        .refuses("cannot read the budget file");
}

#[test]
fn figures_come_in_formats_that_programs_read() {
    let place = Place::new();
    let printed = run(&place, "out", &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(json[0]["figures"][0]["samples"], 25);
    let saved = |format| {
        let report = place.isobench(&["report", "out", "--format", format]);
        report.succeeds()
    };
    assert_eq!(saved("json").stdout, printed.stdout);
    let csv = saved("csv").ended.stdout;
    assert!(
        csv.starts_with("host,started,target,experiment,metric,unit,"),
        "{csv}"
    );
    // On an emulated host, the first lines say that it is one.
    let markdown = saved("markdown");
    let mut lines = markdown.stdout.lines();
    assert!(
        lines.any(|line| line.starts_with("| experiment ")),
        "{markdown:?}"
    );
    let metrics = saved("openmetrics");
    metrics.prints("isobench_median_seconds{target=\"process\"");
    assert!(metrics.stdout.ends_with("# EOF\n"), "{metrics:?}");
    for tracker in ["bencher", "github-benchmark"] {
        saved(tracker).prints("\"process/startup/ready\"");
        let changes = ["out", "out", "--format", tracker];
        compare(&place, &changes)
            .succeeds()
            .prints("\"process/startup/ready\"");
        let several = place.isobench(&["report", "out", "out", "--format", tracker]);
        several.refuses("holds one run");
    }
    assert!(!place.path("report.html").exists());
}
