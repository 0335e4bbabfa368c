//! `isobench time`: a command of the user on every target.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use isobench_reports::model::Status;
use isobench_testing::{Need, find_program, lacks};
use nix::sys::signal::Signal;

use crate::support::isobench::{Finished, Isobench, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::results::{rows, values};

const RUNGS: [&str; 3] = ["process", "container", "microvm-bare"];

pub fn time(options: &[&str], program: &[&str]) -> Isobench {
    time_in(&Place::new(), options, program)
}

fn time_in(place: &Place, options: &[&str], program: &[&str]) -> Isobench {
    let isobench = place.isobench(&["time", "--out", "out"]).writes_to("out");
    isobench.options(options).program(program)
}

/// The static busybox of the host; `None` if there is none.
pub fn busybox() -> Option<String> {
    if lacks(Need::Program("busybox")) {
        return None;
    }
    let path: PathBuf = find_program("busybox").unwrap();
    Some(path.to_str().unwrap().to_owned())
}

/// The reasons of the failed rows of a metric.
fn reasons(finished: &Finished, target: &str, metric: &str) -> Vec<String> {
    let rows = rows(finished.results(), target, metric).into_iter();
    let failed = rows.filter(|row| row.status == Status::Failed);
    failed.filter_map(|row| row.reason.clone()).collect()
}

#[test]
fn a_static_program_is_timed_on_every_rung() {
    let options = ["--targets", &RUNGS.join(","), "--runs", "3"];
    let finished = time(&options, &[WORKLOAD, "ready"]).succeeds();
    finished.leaves_nothing();
    let run = finished.results();
    assert_eq!(run.profile, "time");
    let command = run.experiments[0].command.as_deref().unwrap();
    assert!(command.ends_with("workload ready"), "{command}");
    let accounts = finished.accounts_memory();
    for target in RUNGS.into_iter().filter(|target| can_run(target)) {
        for metric in ["end", "user", "system"] {
            assert_eq!(
                finished.values(target, metric).len(),
                3,
                "{target} {metric}"
            );
        }
        for metric in ["memory-peak", "teardown"] {
            let count = finished.values(target, metric).len();
            assert_eq!(count, if accounts { 3 } else { 0 }, "{target} {metric}");
        }
    }
    assert!(finished.saved("report.html").contains("workload ready"));
    finished.prints("success");
}

#[test]
fn a_failing_program_is_given_up_with_its_last_words() {
    let Some(busybox) = busybox() else { return };
    let script = "echo first >&2; echo the disk is full >&2; exit 3";
    let program = [busybox.as_str(), "sh", "-c", script];
    let options = [
        "--targets",
        "process,container",
        "--runs",
        "9",
        "--warmup",
        "0",
    ];
    let finished = time(&options, &program).ends();
    finished
        .leaves_nothing()
        .has_code(1)
        .prints("the disk is full");
    for target in ["process", "container"] {
        let reasons = reasons(&finished, target, "end");
        assert_eq!(reasons.len(), 3, "{target}: {reasons:?}");
        assert_eq!(
            reasons[0],
            "ended with exit code 3: first | the disk is full"
        );
    }
    let kept = time(&[&options[..], &["--keep-going"]].concat(), &program).succeeds();
    assert_eq!(kept.values("container", "end").len(), 9);
}

#[test]
fn a_program_that_never_ends_or_dies_too_early_fails_its_samples() {
    let Some(busybox) = busybox() else { return };
    let own = [
        "--targets",
        "process,container",
        "--runs",
        "5",
        "--timeout",
        "300ms",
    ];
    for (condition, script, expected) in [
        (
            "exit",
            "trap '' TERM; sleep 100",
            "did not end within 300ms",
        ),
        (
            "line=x",
            "echo down; sleep 100",
            "was not ready (line=x) within 300ms",
        ),
        ("line", "sleep 100", "was not ready (line) within 300ms"),
        (
            "line",
            "echo up; sleep 100",
            "was ready, but did not end within 300ms; add --stop",
        ),
        (
            "tcp=9",
            "echo no room >&2; exit 4",
            "ended with exit code 4 before it was ready (tcp=9): no room",
        ),
    ] {
        let options = [&own[..], &["--ready", condition]].concat();
        let finished = time(&options, &[&busybox, "sh", "-c", script]).ends();
        finished.leaves_nothing().has_code(1);
        let metric = if condition == "exit" { "end" } else { "ready" };
        let reasons = reasons(&finished, "process", metric);
        assert!(
            reasons.iter().any(|reason| reason.contains(expected)),
            "{reasons:?}"
        );
    }
}

#[test]
fn a_flood_is_thrown_away_and_children_that_stay_are_killed() {
    let Some(busybox) = busybox() else { return };
    let flood = ["dd", "if=/dev/zero", "bs=1M", "count=100"];
    let options = ["--targets", "process,container", "--runs", "2"];
    let program = [&[busybox.as_str()], &flood[..]].concat();
    let finished = time(&options, &program).succeeds();
    finished.leaves_nothing();
    let script = "setsid sleep 100 & sleep 0.3; exit 0";
    let options = ["--targets", "process", "--runs", "2"];
    let finished = time(&options, &[&busybox, "sh", "-c", script]).ends();
    if finished.accounts_memory() {
        finished.leaves_nothing().has_code(1);
        let reasons = reasons(&finished, "process", "end");
        assert!(reasons[0].contains("still running"), "{reasons:?}");
    }
}

#[test]
fn what_the_user_can_mend_is_refused() {
    let place = Place::new();
    place.write("text", "no program");
    fs::set_permissions(place.path("text"), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = |options: &[&str], program: &[&str], words: &str| {
        time_in(&place, options, program).refuses(words);
    };
    refused(
        &[],
        &["no-such-program"],
        "no program `no-such-program` on the PATH",
    );
    refused(&[], &["./nothing"], "./nothing can't be executed");
    refused(&[], &["echo hi"], "leave out the quotes");
    refused(&[], &["./nothing < text"], "-- sh -c './nothing < text'");
    refused(&[], &["./text"], "is no program: it is neither an ELF file");
    refused(&["--image", "no-such"], &["x"], "no image no-such");
    refused(
        &["--root", "no-such"],
        &["x"],
        "cannot copy the root no-such",
    );
    refused(&["--input", "no-such"], &[WORKLOAD], "--input no-such: ");
    refused(
        &["--workdir", "/"],
        &[WORKLOAD],
        "`workdir` needs an image or a root",
    );
    refused(&["--stop"], &[WORKLOAD], "`stop` needs a condition");
    refused(
        &["--targets", "dokcer"],
        &[WORKLOAD],
        "unknown target `dokcer`",
    );
    for (options, named) in [
        (["--ready", "line=["], "is no regular expression"),
        (["--ready", "udp=5"], "choose among exit, line"),
        (["--runs", "0"], "0"),
        (["--timeout", "5"], "a time with its unit"),
    ] {
        time_in(&place, &options, &[WORKLOAD])
            .ends()
            .has_code(2)
            .says(named);
    }
    assert!(!place.path("out").exists());
}

#[test]
fn a_program_that_needs_more_than_itself_runs_as_a_process_alone() {
    let options = ["--targets", "process,container", "--runs", "2"];
    let finished = time(&options, &["true"]).succeeds();
    finished.says("container has no time: the program is dynamically linked");
    assert_eq!(finished.values("process", "end").len(), 2);
    let rows = rows(finished.results(), "container", "end");
    assert_eq!(rows[0].status, Status::Unavailable);
    let place = Place::new();
    let nowhere = time_in(&place, &["--targets", "container"], &["true"]).ends();
    nowhere.has_code(2).says("no target of this run can run it");
    assert!(!place.path("out").exists());
}

#[test]
fn a_directory_becomes_the_root_of_every_target() {
    let Some(busybox) = busybox() else { return };
    if lacks(Need::Root) {
        return;
    }
    let place = Place::new();
    fs::create_dir_all(place.path("tree/bin")).unwrap();
    fs::copy(&busybox, place.path("tree/bin/busybox")).unwrap();
    place.write("tree/text", "inside\n");
    let script = "/bin/busybox cat text; /bin/busybox rm text; /bin/busybox pwd >&2; exit 5";
    let options = [
        "--targets",
        "process,container,bwrap,runc",
        "--root",
        "tree",
        "--runs",
        "2",
    ];
    let program = ["busybox", "sh", "-c", script];
    let finished = time_in(&place, &options, &program).ends();
    finished.leaves_nothing().has_code(1);
    for target in ["process", "container", "bwrap", "runc"] {
        if can_run(target) {
            // Each instance has a fresh copy, so no sample finds the text removed.
            let reasons = reasons(&finished, target, "end");
            assert!(
                reasons
                    .iter()
                    .all(|reason| reason == "ended with exit code 5: /"),
                "{reasons:?}"
            );
        }
    }
    assert_eq!(place.read("tree/text"), "inside\n");
}

#[test]
fn a_command_runs_before_each_sample() {
    let place = Place::new();
    let script = format!("echo x >> {}", place.path("log").display());
    let options = [
        "--targets",
        "process",
        "--runs",
        "3",
        "--warmup",
        "2",
        "--prepare",
    ];
    time_in(
        &place,
        &[&options[..], &[&script]].concat(),
        &[WORKLOAD, "ready"],
    )
    .succeeds();
    assert_eq!(place.read("log").lines().count(), 5);
    let failing = [&options[..], &["echo broken >&2; exit 2"]].concat();
    let finished = time(&failing, &[WORKLOAD, "ready"]).ends();
    let reasons = reasons(&finished, "process", "end");
    let expected =
        "the preparation `echo broken >&2; exit 2` failed: ended with exit code 2: broken";
    assert_eq!(reasons[0], expected);
}

#[test]
fn an_explanation_counts_what_the_command_does() {
    let Some(busybox) = busybox() else { return };
    let script = "busybox stat /; busybox echo hello";
    let options = ["--targets", "process,container", "--runs", "2", "--explain"];
    let finished = time(&options, &[&busybox, "sh", "-c", script]).succeeds();
    finished.leaves_nothing();
    for target in ["process", "container"] {
        let samples = finished.results().samples.iter();
        let part = |metric: &str, part: &str| {
            let mut samples = samples.clone().filter(|sample| sample.target == target);
            let sample =
                samples.find(|one| (one.metric.as_str(), one.part.as_str()) == (metric, part));
            sample.and_then(|sample| sample.value).unwrap_or_default()
        };
        assert!(part("calls", "execve") >= 1.0, "{target}");
        assert!(part("tasks", "processes") >= 1.0, "{target}");
        assert!(part("traffic", "written") >= 6.0, "{target}");
        assert!(part("page-faults", "minor") > 10.0, "{target}");
    }
    finished.has_rows("cpu", "system-call", &["process", "container"]);
    // A command makes many calls, so their price takes more rounds than a quick run has.
    assert!(finished.values("process", "system-call").len() > 10);
}

#[test]
fn an_interrupted_run_keeps_its_samples_and_leaves_nothing() {
    let Some(busybox) = busybox() else { return };
    let options = ["--targets", "process,container", "--runs", "500"];
    let mut running = time(&options, &[&busybox, "sleep", "0.05"]).starts();
    running.takes_samples();
    std::thread::sleep(std::time::Duration::from_secs(2));
    running.send(Signal::SIGINT);
    let finished = running.ends();
    finished.leaves_nothing().has_code(130);
    assert!(finished.results().partial);
    assert!(!values(finished.results(), "process", "end").is_empty());
}
