//! Whole runs have samples of every target that this host can run, and leave nothing, however they
//! end.

use std::time::{Duration, Instant};

use isobench::host::probe::pss::process_tree;
use isobench_reports::model::{Run, Status, TOTAL};
use isobench_testing::{Need, lacks, skip};
use nix::sys::signal::Signal;

use crate::support::isobench::{ISOBENCH, Isobench};
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::results::{results, values};
use crate::support::traces;

#[test]
fn a_quick_run_has_samples_of_every_target_and_leaves_nothing() {
    let finished = Isobench::run().quick().experiments("startup").succeeds();
    finished.leaves_nothing().prints("out/report.html");
    assert!(finished.place.path("out/report.html").exists());
    let run = finished.results();
    let csv = finished.saved("results.csv");
    for target in &run.targets {
        let Some(unavailable) = &target.unavailable else {
            let starts = finished.values(&target.name, "ready").len();
            assert_eq!(starts, 25, "{}", target.name);
            continue;
        };
        assert_ne!(unavailable.reason, "", "{}", target.name);
        assert_ne!(unavailable.fix, "", "{}", target.name);
        let begins = format!("{},", target.name);
        let rows: Vec<_> = csv.lines().filter(|row| row.starts_with(&begins)).collect();
        assert_ne!(rows, [""; 0], "{}", target.name);
        for row in rows {
            assert!(row.contains(",unavailable,"), "{row}");
        }
    }
    assert!(csv.starts_with("target,experiment,metric,part,unit,round,value,status,reason"));
    assert!(csv.lines().count() > run.samples.len());
    finished.prints("report: out/report.html");
    let lines = finished.stdout.lines().count();
    assert!(lines <= 40, "{lines}");
}

#[test]
fn crowds_come_from_real_starts() {
    let targets = ["process", "container"];
    let finished = Isobench::run().quick().targets("process,container");
    let finished = finished.experiments("parallel").succeeds();
    finished
        .has_rows("parallel", "at-1", &targets)
        .has_rows("parallel", "at-16", &targets)
        .leaves_nothing();
    for (at_once, metric, rate) in [(1, "at-1", "rate-1"), (16, "at-16", "rate-16")] {
        let rounds = finished.values("process", rate).len();
        assert_eq!(finished.values("process", metric).len(), at_once * rounds);
    }
}

#[test]
fn prices_of_mechanisms_come_from_real_starts() {
    let finished = Isobench::run().quick().targets("process,container");
    let finished = finished
        .experiments("start-parts")
        .options(&["--format", "table"]);
    let finished = finished.succeeds();
    finished.leaves_nothing();
    if !can_run("container") {
        return;
    }
    finished.prints("+ cgroup-namespace");
    let run = finished.results();
    let parts = &run.experiments[0].metrics[0].parts;
    assert!(parts.len() >= 16, "{parts:?}");
    let over_all = parts
        .iter()
        .filter(|one| one.base.as_deref() == Some(TOTAL));
    let extras: Vec<_> = over_all.map(|part| part.name.as_str()).collect();
    assert_eq!(extras, ["terminals", "etc-hosts"]);
    assert!(parts.iter().any(|part| part.base.is_some()), "{parts:?}");
    for part in parts {
        let samples = run.samples.iter().filter(|s| s.part == part.name);
        let good = samples.filter(|s| s.status == Status::Ok).count();
        if part.name == "cgroup" && good == 0 {
            skip(Need::Cgroup, "the price of a cgroup can't be had");
        } else {
            // Each of fifteen rounds gives four figures.
            assert_eq!(good, 60, "{part:?}");
        }
    }
    check_lives(run);
}

/// Checks that the life of each instance is the sum of its time on a processor and its time
/// waiting.
fn check_lives(run: &Run) {
    let mut lives = 0;
    for parts in run
        .samples
        .chunk_by(|one, next| one.sequence == next.sequence)
    {
        let value = |metric: &str| parts.iter().find(|s| s.metric == metric)?.value;
        let (Some(life), Some(ready)) = (value("life"), value("ready")) else {
            continue;
        };
        let cpu = value("cpu").unwrap();
        assert!(cpu > 0.0, "{parts:?}");
        assert!(
            (life - cpu - value("waiting").unwrap()).abs() < 1.0,
            "{parts:?}"
        );
        assert!(ready <= life, "{parts:?}");
        lives += 1;
    }
    assert!(lives > 0, "no instance's life was told");
}

#[test]
fn the_seed_gives_the_same_order_again() {
    let place = Place::new();
    let order = |out: &str| {
        let finished = place
            .run_into(out)
            .quick()
            .targets("process")
            .experiments("startup");
        let finished = finished.options(&["--twin", "--seed", "5"]).succeeds();
        let run = finished.results();
        assert_eq!(run.seed, 5);
        let samples = run.samples.iter();
        let starts = samples.filter(|s| s.metric == "ready" && s.part == "total");
        starts
            .map(|s| (s.round, s.target.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(order("one"), order("two"));
}

#[test]
fn an_interrupted_run_keeps_its_samples_and_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let run = Isobench::run().profile("thorough").targets("rungs");
        let mut running = run.experiments("startup").starts();
        running.takes_samples();
        std::thread::sleep(Duration::from_millis(500));
        running.send(signal);
        let finished = running.ends();
        finished.leaves_nothing().has_code(130);
        let run = finished.results();
        assert!(run.partial, "{signal}");
        assert!(run.samples.iter().any(|s| s.value.is_some()), "{signal}");
        let report = finished.saved("report.html");
        assert!(report.contains("Partial run"), "{signal}");
    }
}

#[test]
fn a_signal_that_is_ignored_stops_no_run() {
    let place = Place::new();
    let script = "trap '' HUP INT; exec \"$0\" \"$@\"";
    let words = ["-c", script, ISOBENCH, "run", "--out", "out"];
    let run = place.isobench_at("/bin/bash", &words).quick();
    let mut running = run.targets("process").experiments("startup").starts();
    running.takes_samples();
    for signal in [Signal::SIGHUP, Signal::SIGINT] {
        running.send(signal);
    }
    let finished = running.ends();
    finished.leaves_nothing().has_code(0);
    assert!(!finished.results().partial);
}

#[test]
fn instances_die_with_a_killed_run_and_the_next_run_clears_the_rest() {
    let place = Place::new();
    // Instances of `memory` idle, so that one runs at almost any moment.
    let run = place
        .run_into("killed")
        .profile("standard")
        .targets("rungs");
    let mut running = run.experiments("memory").starts();
    let pid = running.pid();
    running.takes_samples();
    let deadline = Instant::now() + Duration::from_secs(10);
    let descendants = loop {
        let tree = process_tree(pid).unwrap();
        if tree.len() > 1 {
            running.send(Signal::SIGKILL);
            break tree;
        }
        assert!(Instant::now() < deadline, "no instance was seen");
    };
    let killed = running.ends();
    let are_gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        descendants.iter().all(|process| !process.is_alive())
    });
    assert!(are_gone, "an instance outlived the harness");
    let left = traces::temporary_files(&place);
    assert!(!left.is_empty(), "a killed run can't clean up itself");

    let next = place
        .run()
        .quick()
        .targets("process")
        .experiments("startup");
    next.succeeds().leaves_nothing();
    killed.leaves_nothing();
}

#[test]
fn a_killed_run_keeps_what_it_had_saved() {
    let place = Place::new();
    // Peers are slow: with them, the first results to be saved would have no sample that counts.
    let run = place.run().profile("thorough").targets("process,container");
    let mut running = run.experiments("startup").starts();
    running.takes_samples();
    let deadline = Instant::now() + Duration::from_mins(1);
    // On a busy host, the first results may have none even so.
    let has_figures = || {
        place.path("out/results.json").exists()
            && !values(&results(&place, "out"), "process", "ready").is_empty()
    };
    while !has_figures() {
        assert!(Instant::now() < deadline, "no figure was saved");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.send(Signal::SIGKILL);
    let killed = running.ends();
    assert!(killed.results().partial);
    assert_ne!(killed.values("process", "ready"), [0.0; 0]);
    place
        .isobench(&["report", "out", "--out", "again.html"])
        .succeeds();
    assert!(place.read("again.html").contains("Partial run"));
}

#[test]
fn memory_figures_come_from_every_rung() {
    let finished = Isobench::run()
        .quick()
        .targets("rungs")
        .experiments("memory");
    let finished = finished.succeeds();
    let can_charge = finished.accounts_memory();
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        if can_charge {
            assert_eq!(finished.values(target, "charge").len(), 5, "{target}");
        }
        // Only root may look into a container's first process.
        if target != "container" || !lacks(Need::Root) {
            assert_eq!(finished.values(target, "pss").len(), 5, "{target}");
        }
    }
}

#[test]
fn disk_figures_come_from_every_rung() {
    let finished = Isobench::run().quick().targets("rungs").experiments("disk");
    let finished = finished.succeeds();
    let run = finished.results();
    for target in ["process", "container", "microvm-bare"] {
        if can_run(target) {
            for metric in &run.experiments[0].metrics {
                check_disk_figure(run, target, &metric.name);
            }
        }
    }
}

/// Checks that each of three samples is good, or was too short to time on a busy host. Figures that
/// need a guest kernel are unavailable without one.
fn check_disk_figure(run: &Run, target: &str, metric: &str) {
    let samples = run.samples.iter();
    let samples = samples.filter(|s| s.target == target && s.metric == metric);
    let needs_kernel = metric.ends_with("-16") || metric.starts_with("file-");
    if target == "microvm-bare" && needs_kernel {
        for sample in samples {
            assert_eq!(sample.status, Status::Unavailable, "{sample:?}");
        }
        return;
    }
    let reasons: Vec<_> = samples.filter_map(|s| s.reason.as_deref()).collect();
    // Reading 64 MiB from the page cache takes a few milliseconds.
    for reason in &reasons {
        assert!(
            reason.contains("too busy to time"),
            "{target} {metric}: {reason}"
        );
    }
    let good = values(run, target, metric).len();
    assert!(good > 0, "{target} {metric}");
    assert_eq!(good + reasons.len(), 3, "{target} {metric}");
}

#[test]
fn a_run_that_is_stopped_before_its_first_sample_leaves_nothing() {
    let mut stopped = 0;
    for milliseconds in (20..120).step_by(20) {
        let running = Isobench::run()
            .quick()
            .targets("process,container")
            .starts();
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.send(Signal::SIGTERM);
        let finished = running.ends();
        finished.leaves_nothing();
        if finished.stderr == "isobench: stopped before the start\n" {
            finished.has_code(130);
            assert!(!finished.place.path("out").exists());
            stopped += 1;
        }
    }
    assert!(
        stopped > 0,
        "each run had begun to measure, or hadn't begun at all"
    );
}
