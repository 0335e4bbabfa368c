//! Results files that somebody edited, cut short, made up or blew up: one clear line, exit code 2, and memory that is bounded.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Command;

use crate::support::{Place, assert_refused};
use serde_json::Value;

/// A place with a small, good run in `good.json`, and that run.
fn place() -> (Place, String) {
    let place = Place::new();
    let mut arguments = vec!["run", "--profile", "quick", "--targets", "process"];
    arguments.extend(["--experiments", "startup", "--out", "good"]);
    assert!(place.run(&arguments).status.success());
    let good = fs::read_to_string(place.path("good/results.json")).unwrap();
    (place, good)
}

/// Asserts that both commands that read results refuse the file `name`, and say `why`.
fn assert_both_refuse(place: &Place, name: &str, why: &str) {
    for arguments in [
        ["report", name, "--out", "report.html"],
        ["compare", name, "good", "--anyway"],
        ["compare", "good", name, "--anyway"],
    ] {
        let output = place.run(&arguments);
        assert_refused(&output, name);
        assert_refused(&output, why);
    }
    assert!(!place.path("report.html").exists(), "{name}");
}

/// The place of the first sample that isn't there to warm up.
fn first_counted(good: &str) -> usize {
    let run: Value = serde_json::from_str(good).unwrap();
    let mut samples = run["samples"].as_array().unwrap().iter();
    samples.position(|sample| sample["status"] == "ok").unwrap()
}

fn edited(good: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::from_str(good).unwrap();
    change(&mut value);
    serde_json::to_string(&value).unwrap()
}

#[test]
fn each_kind_of_bad_results_is_refused_by_its_reason() {
    let (place, good) = place();
    let counted = first_counted(&good);
    let with_value = |value: &str| {
        let marked = edited(&good, |run| {
            run["samples"][counted]["value"] = "MARK".into();
        });
        marked.replace("\"MARK\"", value)
    };
    let cases = [
        (
            "future.json",
            edited(&good, |run| run["schema"] = 99.into()),
            "schema 99",
        ),
        (
            "truncated.json",
            good[..good.len() / 2].to_owned(),
            "truncated",
        ),
        ("nan.json", with_value("NaN"), "is not JSON"),
        ("infinite.json", with_value("1e999"), "number out of range"),
        ("null.json", with_value("null"), "contradicts itself"),
        ("negative.json", with_value("-5.0"), "below zero"),
        (
            "text.json",
            with_value("\"fast\""),
            "does not follow results schema",
        ),
        (
            "field.json",
            edited(&good, |run| run["host"]["note"] = "x".into()),
            "unknown field `note`",
        ),
        (
            "target.json",
            edited(&good, |run| run["samples"][0]["target"] = "x".into()),
            "unknown target \"x\"",
        ),
        (
            "unit.json",
            edited(&good, |run| run["samples"][0]["unit"] = "bytes".into()),
            "its metric in ns",
        ),
        (
            "nested.json",
            "[".repeat(1_000_000),
            "is not a results file",
        ),
    ];
    for (name, text, why) in cases {
        fs::write(place.path(name), text).unwrap();
        assert_both_refuse(&place, name, why);
    }
}

#[test]
fn a_file_of_a_gigabyte_is_refused_within_bounded_memory() {
    const MOST_MEMORY: u64 = 128 << 20;
    let (place, good) = place();
    // One is a hole, the other begins as results do and goes on for ever.
    let hole = File::create(place.path("hole.json")).unwrap();
    hole.set_len(1 << 30).unwrap();
    let mut endless = File::create(place.path("endless.json")).unwrap();
    endless
        .write_all(&good.as_bytes()[..good.len() / 2])
        .unwrap();
    endless.set_len(1 << 30).unwrap();
    for name in ["hole.json", "endless.json"] {
        let report = place.isobench(&["report", name, "--out", "report.html"]);
        let mut limited = Command::new("prlimit");
        limited.arg(format!("--as={MOST_MEMORY}"));
        limited.arg(report.get_program()).args(report.get_args());
        let output = limited.current_dir(place.directory.path()).output();
        assert_refused(&output.unwrap(), "is larger than 128 MiB");
    }
}
