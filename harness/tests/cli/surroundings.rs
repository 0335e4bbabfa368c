//! What the process that starts isobench leaves to it: the umask, bytes that are no text, limits.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use isobench_testing::{Need, find_program, lacks};

use crate::support::ended::Ended;
use crate::support::isobench::{ISOBENCH, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;

#[test]
fn a_user_who_shares_no_files_has_all_targets() {
    let place = Place::new();
    let script = "umask 077; exec \"$0\" \"$@\"";
    let isobench = place.isobench_at("/bin/sh", &["-c", script, ISOBENCH, "time", "--out", "out"]);
    let targets = ["process", "container", "crun", "runc", "lxc", "unshare"];
    let runnable: Vec<_> = targets.into_iter().filter(|name| can_run(name)).collect();
    let options = ["--targets", &runnable.join(","), "--runs", "1"];
    let isobench = isobench.writes_to("out").options(&options);
    let finished = isobench.program(&[WORKLOAD, "ready"]).succeeds();
    finished.has_rows("time", "end", &targets);
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().mode() & 0o077;
    assert_eq!((mode("out"), mode("out/results.json")), (0, 0));
}

#[test]
fn an_argument_that_is_no_text_arrives_as_it_is_or_is_refused() {
    if lacks(Need::Program("busybox")) {
        return;
    }
    let busybox = find_program("busybox").unwrap();
    let echo = |target: &str| {
        let place = Place::new();
        let mut exec = place.command(ISOBENCH, &["exec", "--target", target, "--"]);
        exec.arg(&busybox)
            .arg("echo")
            .arg(OsStr::from_bytes(b"a\xff"));
        exec.output().unwrap()
    };
    for target in ["process", "container", "bwrap", "lxc"] {
        if can_run(target) {
            assert_eq!(echo(target).stdout, b"a\xff\n", "{target}");
        }
    }
    for target in ["crun", "runc", "podman"] {
        if can_run(target) {
            let words = "its configuration holds only UTF-8, which a\\xff is not";
            Ended::from(echo(target)).is_refused_by("isobench", words);
        }
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_told_and_kills_nobody() {
    let place = Place::new();
    let limited = |words: &[&str]| {
        let script = "ulimit -f 0; exec \"$0\" \"$@\"";
        let mut shell = place.command("/bin/sh", &["-c", script, ISOBENCH]);
        Ended::of(shell.args(words))
    };
    let time = [
        "time",
        "--targets",
        "process",
        "--runs",
        "1",
        "--",
        WORKLOAD,
        "ready",
    ];
    let ended = limited(&time);
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    ended.says("isobench: ").says("File too large");
    let fine = limited(&["exec", "--target", "process", "--", WORKLOAD, "ready"]);
    fine.has_code(0).prints("ready");
}
