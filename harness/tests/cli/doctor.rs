//! `isobench doctor --target`: what a container is like, seen from inside.

use crate::old::{Place, assert_refused, can_run, text};

#[test]
fn a_container_is_looked_at_from_inside() {
    if !can_run("container") {
        return;
    }
    let place = Place::new();
    let output = place.run(&["doctor", "--target", "container", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["inside"].as_array().unwrap();
    let value = |key: &str| {
        let found = findings.iter().find(|finding| finding["key"] == key);
        found.and_then(|finding| finding["value"].as_str()).unwrap()
    };
    assert!(value("namespaces").ends_with("all private"), "{report}");
    assert!(value("capabilities").starts_with("none"), "{report}");
    assert_eq!(value("no-new-privileges"), "forbidden");
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn what_is_said_of_a_container_fits_a_terminal() {
    if !can_run("container") {
        return;
    }
    let output = Place::new().run(&["doctor", "--target", "container"]);
    let said = text(&output.stdout);
    assert!(said.contains("System calls"), "{said}");
    assert!(
        said.lines().all(|line| line.chars().count() <= 80),
        "{said}"
    );
}

#[test]
fn an_unknown_target_is_refused() {
    let output = Place::new().run(&["doctor", "--target", "dokcer"]);
    assert_refused(&output, "unknown target `dokcer`");
}
