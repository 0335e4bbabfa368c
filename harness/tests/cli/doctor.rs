//! `isobench doctor --target`: what a container is like, seen from inside.

use serde_json::Value;

use crate::support::isobench::Isobench;
use crate::support::needs::can_run;
use crate::support::place::Place;

fn doctor(target: &str) -> Isobench {
    Place::new().isobench(&["doctor", "--target", target])
}

#[test]
fn a_container_is_looked_at_from_inside() {
    if !can_run("container") {
        return;
    }
    let finished = doctor("container").options(&["--json"]).succeeds();
    finished.leaves_nothing();
    let report: Value = serde_json::from_str(&finished.stdout).unwrap();
    let findings = report["inside"].as_array().unwrap();
    let value = |key: &str| {
        let found = findings.iter().find(|finding| finding["key"] == key);
        found.and_then(|finding| finding["value"].as_str()).unwrap()
    };
    assert!(value("namespaces").ends_with("all private"), "{report}");
    assert!(value("capabilities").starts_with("none"), "{report}");
    assert_eq!(value("no-new-privileges"), "forbidden");
}

#[test]
fn what_is_said_of_a_container_fits_a_terminal() {
    if !can_run("container") {
        return;
    }
    let finished = doctor("container").succeeds();
    finished.prints("System calls");
    for line in finished.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_limits_of_the_guest_without_an_os_are_told() {
    if can_run("microvm-bare") {
        let finished = doctor("microvm-bare").succeeds();
        finished.prints("limit: one process: fork, vfork and execve fail");
    }
}

#[test]
fn an_unknown_target_is_refused() {
    doctor("dokcer").refuses("unknown target `dokcer`");
}
