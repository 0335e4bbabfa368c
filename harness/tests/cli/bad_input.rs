//! Bad input gets one clear line that names the value, exit code 2, and nothing half-written.

use std::fs;

use crate::support::{Place, WORKLOAD, assert_refused, entries};

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    let place = Place::new();
    let output = place.run(&["run", "--targets", "process,dokcer", "--out", "out"]);
    assert_refused(
        &output,
        "unknown target `dokcer`; choose among process, container, microvm-bare",
    );
    let output = place.run(&["run", "--experiments", "boot", "--out", "out"]);
    assert_refused(
        &output,
        "unknown experiment `boot`; choose among startup, start-parts, parallel, start-cold, start-gaps, start-beside, memory,",
    );
    let output = place.run(&[
        "run",
        "--targets",
        "process",
        "--baseline",
        "container",
        "--out",
        "out",
    ]);
    assert_refused(&output, "the baseline `container` isn't among the targets");
    let output = place.run(&["exec", "--target", "vm", "--", WORKLOAD, "ready"]);
    assert_refused(&output, "`vm`");
    assert!(!place.path("out").exists());
}

#[test]
fn flags_of_the_wrong_kind_are_refused() {
    let place = Place::new();
    for (arguments, named) in [
        (vec!["run", "--profile", "slow"], "slow"),
        (vec!["run", "--seed", "x"], "'x'"),
        (
            vec![
                "exec", "--target", "process", "--memory", "12X", "--", WORKLOAD,
            ],
            "12X",
        ),
        (
            vec!["exec", "--target", "process", "--env", "=1", "--", WORKLOAD],
            "KEY=VALUE",
        ),
        (vec!["exec", "--target", "process"], "PROGRAM"),
        (vec!["frobnicate"], "frobnicate"),
    ] {
        let output = place.run(&arguments);
        let stderr = crate::support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(named), "{stderr}");
    }
}

#[test]
fn an_output_that_cannot_be_written_is_refused_before_anything_runs() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    let output = place.run(&["run", "--out", "file/out"]);
    assert_refused(&output, "file/out");
    fs::create_dir(place.path("old")).unwrap();
    fs::write(place.path("old/results.json"), "precious").unwrap();
    let output = place.run(&["run", "--out", "old"]);
    assert_refused(&output, "results.json already exists");
    assert_eq!(
        fs::read(place.path("old/results.json")).unwrap(),
        b"precious"
    );
    assert_eq!(entries(&place.path("old")).len(), 1);
}

#[test]
fn a_program_that_cannot_run_is_refused() {
    let place = Place::new();
    let whole = fs::read(WORKLOAD).unwrap();
    fs::write(place.path("truncated"), &whole[..whole.len() / 3]).unwrap();
    fs::write(place.path("text"), "#!/bin/sh\necho hello\n").unwrap();
    let mut foreign = whole.clone();
    foreign[18] = 0xb7; // e_machine of AArch64
    fs::write(place.path("foreign"), &foreign).unwrap();
    for (program, why) in [
        ("/no/such/program", "No such file"),
        ("truncated", "truncated"),
        ("text", "not an ELF program"),
        ("foreign", "another processor"),
        ("/bin/ls", "dynamically linked"),
        ("/tmp", "not a regular file"),
    ] {
        for target in ["process", "container", "microvm-bare"] {
            let output = place.run(&["exec", "--target", target, "--", program]);
            assert_refused(&output, why);
        }
    }
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_program_without_permission_to_run_says_so() {
    let place = Place::new();
    fs::write(place.path("program"), fs::read(WORKLOAD).unwrap()).unwrap();
    let output = place.run(&["exec", "--target", "process", "--", "program"]);
    assert_refused(&output, "chmod +x");
}

#[test]
fn a_disk_that_is_none_is_refused() {
    let place = Place::new();
    let output = place.run(&[
        "exec", "--target", "process", "--disk", "none", "--", WORKLOAD, "ready",
    ]);
    assert_refused(&output, "--disk none");
    let output = place.run(&[
        "exec", "--target", "process", "--disk", "/tmp", "--", WORKLOAD, "ready",
    ]);
    assert_refused(&output, "not a regular file");
}

#[test]
fn results_that_are_not_ours_are_refused_and_no_report_is_written() {
    let place = Place::new();
    let other_schema = r#"{"schema":999,"tool":"isobench"}"#;
    for (name, content) in [
        ("empty.json", ""),
        ("truncated.json", r#"{"schema":1,"tool":"isobe"#),
        ("binary.json", "\u{0}\u{1}"),
        ("other.json", r#"{"hello":"world"}"#),
        ("schema.json", other_schema),
    ] {
        fs::write(place.path(name), content).unwrap();
        let output = place.run(&["report", name, "--out", "report.html"]);
        assert_refused(&output, name);
        assert!(!place.path("report.html").exists(), "{name}");
    }
    let output = place.run(&["report", "missing.json"]);
    assert_refused(&output, "missing.json");
}
