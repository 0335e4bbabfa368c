//! A program that is started through a link knows itself by the link's name, as one program of many
//! names does.

use std::os::unix::fs::symlink;

use isobench_testing::compile_c;

use crate::support::needs::can_run;
use crate::support::place::Place;

const SOURCE: &str = r#"
#include <stdio.h>
#include <sys/auxv.h>
int main(int count, char **words) {
    printf("%s %s %d\n", words[0], (char *)getauxval(AT_EXECFN), count);
}"#;

/// Peers that take no name beside the program's path.
const BY_PATH: [&str; 8] = [
    "unshare",
    "bwrap",
    "crun",
    "runc",
    "lxc",
    "systemd-nspawn",
    "podman",
    "runsc",
];

/// The words that the program prints in `target`, when it is started as `typed`.
fn names(place: &Place, target: &str, typed: &str) -> Vec<String> {
    let exec = ["exec", "--target", target, "--", typed, "an argument"];
    let ended = place.isobench(&exec).succeeds();
    ended.stdout.split_whitespace().map(str::to_owned).collect()
}

/// A place with the program `real` and a link to it in `bin/`.
fn place_with_link() -> Option<Place> {
    let place = Place::new();
    if !compile_c(&place.path("real"), SOURCE, &["-static"]) {
        return None;
    }
    std::fs::create_dir(place.path("bin")).unwrap();
    symlink("../real", place.path("bin/linked")).unwrap();
    symlink("real", place.path("linked")).unwrap();
    Some(place)
}

#[test]
fn a_program_is_called_as_it_was_typed() {
    let Some(place) = place_with_link() else {
        return;
    };
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        for typed in ["./linked", "linked", "bin/linked", "bin/../linked"] {
            let names = names(&place, target, typed);
            assert_eq!([&names[0], &names[2]], [typed, "2"], "{target}");
            assert!(names[1].ends_with("/linked"), "{target}: {names:?}");
        }
    }
}

#[test]
fn a_peer_has_the_file_under_its_name() {
    let Some(place) = place_with_link() else {
        return;
    };
    for target in BY_PATH {
        if !can_run(target) {
            continue;
        }
        assert_eq!(names(&place, target, "./linked")[0], "./linked", "{target}");
        assert_eq!(
            names(&place, target, "bin/linked")[0],
            "/linked",
            "{target}"
        );
    }
}

#[test]
fn a_timed_program_is_called_as_it_was_typed() {
    let Some(place) = place_with_link() else {
        return;
    };
    if !can_run("container") {
        return;
    }
    // The program's code is 1 if it isn't called by the name that it is given.
    let script = r"#include <string.h>
        int main(int count, char **words) { return strcmp(words[0], words[1]); }";
    assert!(compile_c(&place.path("real"), script, &["-static"]));
    let words = ["time", "--targets", "process,container", "--runs", "2"];
    let time = place.isobench(&words).program(&["./linked", "./linked"]);
    time.succeeds();
}
