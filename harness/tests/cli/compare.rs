//! `isobench compare` and the formats for other programs, on results of real runs.

use std::fs;

use crate::old::{Place, assert_refused, text};

/// Takes a run of the bare process's start into `out`, and gives what it prints.
fn run(place: &Place, out: &str, more: &[&str]) -> String {
    let mut arguments = vec![
        "run",
        "--profile",
        "quick",
        "--targets",
        "process",
        "--experiments",
        "startup",
        "--out",
        out,
    ];
    arguments.extend(more);
    let output = place.run(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

/// Changes the saved results of `from` into those of `to`.
fn edit(place: &Place, from: &str, to: &str, change: impl Fn(&mut serde_json::Value)) {
    let json = fs::read(place.path(from).join("results.json")).unwrap();
    let mut value = serde_json::from_slice(&json).unwrap();
    change(&mut value);
    fs::write(place.path(to), serde_json::to_vec(&value).unwrap()).unwrap();
}

#[test]
fn a_regression_is_exit_code_one_and_another_host_is_two() {
    let place = Place::new();
    run(&place, "base", &[]);
    let same = place.run(&["compare", "base", "base/results.json"]);
    assert_eq!(same.status.code(), Some(0), "{}", text(&same.stderr));
    assert!(text(&same.stdout).contains("0 better, 0 worse"));

    edit(&place, "base", "slow.json", |run| {
        for sample in run["samples"].as_array_mut().unwrap() {
            let value = sample["value"].as_f64().unwrap();
            sample["value"] = (value * 3.0).into();
        }
    });
    let slower = place.run(&["compare", "base", "slow.json"]);
    assert_eq!(slower.status.code(), Some(1), "{}", text(&slower.stderr));
    assert!(text(&slower.stdout).contains("worse"));
    let tolerant = place.run(&["compare", "base", "slow.json", "--threshold", "900%"]);
    assert_eq!(tolerant.status.code(), Some(0));
    let faster = place.run(&["compare", "slow.json", "base", "--format", "json"]);
    assert_eq!(faster.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&faster.stdout).unwrap();
    assert_eq!(json["changes"][0]["verdict"], "better");

    edit(&place, "base", "elsewhere.json", |run| {
        let facts = run["host"]["facts"].as_array_mut().unwrap();
        let kernel = facts.iter_mut().find(|fact| fact["key"] == "kernel");
        kernel.unwrap()["value"] = "Linux 9.9".into();
    });
    let refused = place.run(&["compare", "base", "elsewhere.json"]);
    assert_refused(&refused, "Linux 9.9 in the new run");
    let anyway = place.run(&["compare", "base", "elsewhere.json", "--anyway"]);
    assert_eq!(anyway.status.code(), Some(0));
    assert!(text(&anyway.stdout).starts_with("NOT THE SAME CONDITIONS"));
    assert_refused(&place.run(&["compare", "base", "missing"]), "missing");
}

#[test]
fn figures_come_in_formats_that_programs_read() {
    let place = Place::new();
    let printed = run(&place, "out", &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(json[0]["figures"][0]["samples"], 25);
    let saved = |format: &str| {
        let output = place.run(&["report", "out", "--format", format]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    assert_eq!(saved("json"), printed);
    assert!(saved("csv").starts_with("host,started,target,experiment,metric,unit,"));
    // On an emulated host its stamp comes first.
    let markdown = saved("markdown");
    let mut lines = markdown.lines();
    assert!(lines.any(|line| line.starts_with("| experiment ")));
    let metrics = saved("openmetrics");
    assert!(metrics.contains("isobench_median_seconds{target=\"process\""));
    assert!(metrics.ends_with("# EOF\n"));
    assert!(!place.path("report.html").exists());
}
