//! `isobench exec`: a program's streams and exit code pass through, in every target.

use std::io::Write as _;
use std::process::Stdio;

use crate::old::{Place, WORKLOAD, assert_refused, can_run, cgroups_of, text};

const RUNGS: [&str; 3] = ["process", "container", "microvm-bare"];

#[test]
fn the_ready_line_and_the_exit_code_pass_through() {
    for target in RUNGS {
        if !can_run(target) {
            continue;
        }
        let place = Place::new();
        let output = place.run(&["exec", "--target", target, "--", WORKLOAD, "ready"]);
        assert_eq!(
            text(&output.stdout),
            "isobench/1 ready\n",
            "{target}: {}",
            text(&output.stderr)
        );
        assert_eq!(output.status.code(), Some(0), "{target}");
        let output = place.run(&["exec", "--target", target, "--", WORKLOAD, "nonsense"]);
        assert_eq!(output.status.code(), Some(2), "{target}");
        assert!(text(&output.stderr).contains("nonsense"), "{target}");
        assert_eq!(
            place.left_behind(),
            Vec::<std::path::PathBuf>::new(),
            "{target}"
        );
    }
}

#[test]
fn standard_input_reaches_the_program() {
    for target in RUNGS {
        if !can_run(target) {
            continue;
        }
        let place = Place::new();
        let mut command = place.isobench(&[
            "exec", "--target", target, "--", WORKLOAD, "idle", "--touch", "1MiB",
        ]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = child.id();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"some text").unwrap();
        assert!(
            child.try_wait().unwrap().is_none(),
            "{target} ended before its standard input"
        );
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{target}");
        assert_eq!(text(&output.stdout), "isobench/1 ready\n", "{target}");
        assert_eq!(
            cgroups_of(pid),
            Vec::<std::path::PathBuf>::new(),
            "{target}"
        );
    }
}

#[test]
fn a_disk_is_found_where_the_target_has_it() {
    for (target, path) in [
        ("process", "disk"),
        ("container", "/disk"),
        ("microvm-bare", "/dev/vda"),
    ] {
        if !can_run(target) {
            continue;
        }
        let place = Place::new();
        std::fs::write(place.path("disk"), vec![7_u8; 1 << 20]).unwrap();
        let arguments = [
            "exec", "--target", target, "--disk", "disk", "--", WORKLOAD, "disk", "--op",
            "seq-read", "--block", "64KiB", "--bytes", "1MiB", "--path", path,
        ];
        let output = place.run(&arguments);
        assert!(
            output.status.success(),
            "{target}: {}",
            text(&output.stderr)
        );
        assert!(
            text(&output.stdout).contains("end operations=16 bytes=1048576"),
            "{target}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let place = Place::new();
    let mut command = place.isobench(&["doctor"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command
        .stdout(writer)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn limits_are_held_where_they_can_be_and_refused_where_not() {
    let place = Place::new();
    let burn = ["--", WORKLOAD, "cpu", "--iterations", "1000"];
    let run = |target: &str, options: &[&str]| {
        place.run(&[&["exec", "--target", target], options, &burn].concat())
    };
    assert_refused(&run("process", &["--cpus", "1"]), "process has no --cpus");
    assert_refused(&run("process", &["--usage"]), "process has no --usage");
    if !can_run("container") {
        return;
    }
    let output = run("container", &["--cpus", "0.5", "--pids", "10", "--usage"]);
    let stderr = text(&output.stderr);
    if stderr.contains("needs a cgroup") {
        println!("skipped: {stderr}");
        return;
    }
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("of CPU time"), "{stderr}");
    let output = run("container", &["--io-read-bps", "/proc:1MiB"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("on no single block device"));
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
}
