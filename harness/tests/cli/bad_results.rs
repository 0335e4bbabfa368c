//! Results files that somebody edited, cut short, made up or blew up get one clear line, exit code
//! 2, and bounded memory.

use std::fs::File;
use std::io::Write as _;

use serde_json::Value;

use crate::support::ended::Ended;
use crate::support::isobench::{ISOBENCH, Isobench};
use crate::support::place::Place;

/// A place with a small, good run in the directory `out`, and the text of its results.
fn good_run() -> (Place, String) {
    let run = Isobench::run().quick().targets("process");
    let finished = run.experiments("startup").succeeds();
    let good = finished.saved("results.json");
    (finished.place, good)
}

/// Checks that the commands that read results refuse the file `name`, and say `why`.
fn check_refusals(place: &Place, name: &str, why: &str) {
    for arguments in [
        ["report", name, "--out", "report.html"],
        ["compare", name, "out", "--anyway"],
        ["compare", "out", name, "--anyway"],
    ] {
        place.isobench(&arguments).refuses(name).says(why);
    }
    assert!(!place.path("report.html").exists(), "{name}");
}

/// The position of the first sample that counts.
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
    let (place, good) = good_run();
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
        place.write(name, text);
        check_refusals(&place, name, why);
    }
}

#[test]
fn a_file_of_a_gigabyte_is_refused_within_bounded_memory() {
    const MOST_MEMORY: u64 = 128 << 20;
    let (place, good) = good_run();
    // The first file is a hole. The second begins as results do and goes on as a hole.
    let hole = File::create(place.path("hole.json")).unwrap();
    hole.set_len(1 << 30).unwrap();
    let mut endless = File::create(place.path("endless.json")).unwrap();
    let beginning = &good.as_bytes()[..good.len() / 2];
    endless.write_all(beginning).unwrap();
    endless.set_len(1 << 30).unwrap();
    let limit = format!("--as={MOST_MEMORY}");
    for name in ["hole.json", "endless.json"] {
        let report = [&limit, ISOBENCH, "report", name, "--out", "report.html"];
        let ended = Ended::of(&mut place.command("prlimit", &report));
        ended.is_refused_by("isobench", "is larger than 128 MiB");
    }
}
