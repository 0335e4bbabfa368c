//! Whole runs: real samples of every target that this host can run, and nothing left behind however a run ends.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::{Place, can_run, cgroups_of, text, wait_for_first_sample};
use isobench::host::probe::pss::process_tree;
use isobench_reports::model::{Run, Sample, Status};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn results(place: &Place, directory: &str) -> Run {
    let json = fs::read(place.path(directory).join("results.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn good_samples(run: &Run, target: &str, metric: &str) -> usize {
    run.samples
        .iter()
        .filter(|s| {
            s.target == target && s.metric == metric && s.part == "total" && s.status == Status::Ok
        })
        .count()
}

fn pid_of(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

#[test]
fn a_quick_run_has_samples_of_every_target_and_leaves_nothing() {
    let place = Place::new();
    let child = place.start(&[
        "run",
        "--profile",
        "quick",
        "--experiments",
        "startup",
        "--out",
        "out",
    ]);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = results(&place, "out");
    let csv = fs::read_to_string(place.path("out/results.csv")).unwrap();
    for target in &run.targets {
        if let Some(unavailable) = &target.unavailable {
            assert!(!unavailable.reason.is_empty() && !unavailable.fix.is_empty());
            let rows: Vec<_> = csv
                .lines()
                .filter(|row| row.starts_with(&format!("{},", target.name)))
                .collect();
            assert!(!rows.is_empty() && rows.iter().all(|row| row.contains(",unavailable,")));
        } else {
            assert_eq!(
                good_samples(&run, &target.name, "ready"),
                25,
                "{}",
                target.name
            );
        }
    }
    assert!(csv.starts_with("target,experiment,metric,part,unit,round,value,status,reason"));
    assert!(csv.lines().count() > run.samples.len());
    assert!(place.path("out/report.html").exists());
    assert!(text(&output.stdout).contains("out/report.html"));
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
}

#[test]
fn prices_and_crowds_come_from_real_starts() {
    let place = Place::new();
    let child = place.start(&[
        "run",
        "--profile",
        "quick",
        "--targets",
        "process,container",
        "--experiments",
        "start-parts,parallel",
        "--out",
        "out",
    ]);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = results(&place, "out");
    for (at_once, metric) in [(1, "at-1"), (16, "at-16")] {
        let rounds = good_samples(&run, "process", &format!("rate-{at_once}"));
        assert!(rounds > 0, "no round of {at_once} at once");
        assert_eq!(good_samples(&run, "process", metric), at_once * rounds);
    }
    if can_run("container") {
        let parts = &run.experiments[0].metrics[0].parts;
        assert!(parts.len() >= 14 && parts.iter().any(|part| part.base.is_some()));
        for part in parts {
            let samples = run.samples.iter();
            let of = samples.filter(|s| s.part == part.name && s.status == Status::Ok);
            // Four figures of each of the fifteen rounds; a host without cgroups says why it can't price them.
            let count = of.count();
            assert!(
                count == 60 || count == 0 && part.name == "cgroup",
                "{part:?}"
            );
        }
        for parts in run
            .samples
            .chunk_by(|left, right| left.sequence == right.sequence)
        {
            let value = |metric: &str| parts.iter().find(|s| s.metric == metric)?.value;
            if let (Some(life), Some(ready)) = (value("life"), value("ready")) {
                let made_of = value("cpu").unwrap() + value("waiting").unwrap();
                assert!((life - made_of).abs() < 1.0 && ready <= life, "{parts:?}");
                assert!(value("cpu").unwrap() > 0.0);
            }
        }
        assert!(text(&output.stdout).contains("+ cgroup-namespace"));
    }
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_seed_gives_the_same_order_again() {
    let place = Place::new();
    let order = |out: &str| {
        let arguments = [
            "run",
            "--profile",
            "quick",
            "--targets",
            "process",
            "--twin",
            "--experiments",
            "startup",
            "--seed",
            "5",
            "--out",
            out,
        ];
        assert!(place.run(&arguments).status.success());
        let run = results(&place, out);
        assert_eq!(run.seed, 5);
        let samples = run
            .samples
            .into_iter()
            .filter(|s| s.metric == "ready" && s.part == "total");
        samples.map(|s| (s.round, s.target)).collect::<Vec<_>>()
    };
    assert_eq!(order("one"), order("two"));
}

#[test]
fn an_interrupted_run_keeps_its_samples_and_leaves_nothing() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let place = Place::new();
        let mut child = place.start(&[
            "run",
            "--profile",
            "thorough",
            "--targets",
            "rungs",
            "--experiments",
            "startup",
            "--out",
            "out",
        ]);
        let pid = child.id();
        wait_for_first_sample(&mut child);
        std::thread::sleep(Duration::from_millis(500));
        kill(pid_of(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{signal}");
        let run = results(&place, "out");
        assert!(run.partial);
        assert!(run.samples.iter().any(|s| s.value.is_some()));
        assert!(
            fs::read_to_string(place.path("out/report.html"))
                .unwrap()
                .contains("Partial run")
        );
        assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
        assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn instances_die_with_a_killed_run_and_the_next_run_clears_the_rest() {
    let place = Place::new();
    // Memory: its instances idle, so that one is running at almost any moment.
    let arguments = [
        "run",
        "--profile",
        "standard",
        "--targets",
        "rungs",
        "--experiments",
        "memory",
        "--out",
        "killed",
    ];
    let mut child = place.start(&arguments);
    let (pid, harness) = (child.id(), pid_of(&child));
    wait_for_first_sample(&mut child);
    let deadline = Instant::now() + Duration::from_secs(10);
    let descendants = loop {
        let tree = process_tree(harness).unwrap();
        if tree.len() > 1 {
            kill(harness, Signal::SIGKILL).unwrap();
            break tree;
        }
        assert!(Instant::now() < deadline, "no instance was seen");
    };
    child.wait().unwrap();
    let gone = (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        descendants.iter().all(|process| !process.is_alive())
    });
    assert!(gone, "an instance outlived the harness");
    assert!(
        !place.left_behind().is_empty(),
        "a killed run can't clean up itself"
    );

    let output = place.run(&[
        "run",
        "--profile",
        "quick",
        "--targets",
        "process",
        "--experiments",
        "startup",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_killed_run_keeps_what_it_had_saved() {
    let place = Place::new();
    let mut child = place.start(&[
        "run",
        "--profile",
        "thorough",
        // Peers are slow: the first checkpoint would find nothing but warm-up rounds.
        "--targets",
        "process,container",
        "--experiments",
        "startup",
        "--out",
        "out",
    ]);
    wait_for_first_sample(&mut child);
    let saved = place.path("out/results.json");
    let deadline = Instant::now() + Duration::from_mins(1);
    // The first checkpoints of a busy host may hold nothing but samples to warm up.
    let has_figures = || {
        let good = |sample: &Sample| sample.status == Status::Ok;
        saved.exists() && results(&place, "out").samples.iter().any(good)
    };
    while !has_figures() {
        assert!(Instant::now() < deadline, "no checkpoint with a figure");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let run = results(&place, "out");
    assert!(run.partial && run.samples.iter().any(|s| s.status == Status::Ok));
    let output = place.run(&["report", "out", "--out", "again.html"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        fs::read_to_string(place.path("again.html"))
            .unwrap()
            .contains("Partial run")
    );
}

#[test]
fn disk_and_memory_figures_come_from_every_rung() {
    let place = Place::new();
    let output = place.run(&[
        "run",
        "--profile",
        "quick",
        "--targets",
        "rungs",
        "--experiments",
        "memory,disk",
        "--out",
        "out",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let run = results(&place, "out");
    let [memory, disk] = &run.experiments[..] else {
        panic!("{:?}", run.experiments);
    };
    for target in ["process", "container", "microvm-bare"] {
        if can_run(target) {
            for metric in &memory.metrics {
                let failed = run.samples.iter().any(|sample| {
                    sample.target == target
                        && sample.metric == metric.name
                        && sample.status == Status::Failed
                });
                // A host without cgroups has no charge, and a user who isn't root may not see all of a PSS.
                let good = good_samples(&run, target, &metric.name);
                assert!(
                    good == 5 || failed || metric.name == "charge",
                    "{target}: {good}"
                );
            }
            for metric in &disk.metrics {
                check_disk_figure(&run, target, &metric.name);
            }
        }
    }
}

/// Of three samples each is good, or was too short to time beside the other tests; what needs a kernel says so.
fn check_disk_figure(run: &Run, target: &str, metric: &str) {
    let rows = run.samples.iter();
    let rows: Vec<_> = rows
        .filter(|row| row.target == target && row.metric == metric)
        .collect();
    let needs_kernel = metric.ends_with("-16") || metric.starts_with("file-");
    if target == "microvm-bare" && needs_kernel {
        assert_eq!(rows[0].status, Status::Unavailable, "{metric}");
        return;
    }
    let reasons: Vec<_> = rows
        .iter()
        .filter_map(|row| row.reason.as_deref())
        .collect();
    // Reading 64 MiB from memory is soon over.
    let is_untimed = |reason: &&&str| reason.contains("too busy to time");
    let untimed = reasons.iter().filter(is_untimed).count();
    assert_eq!(reasons.len(), untimed, "{target} {metric}: {reasons:?}");
    let good = good_samples(run, target, metric);
    assert!(good > 0, "{target} {metric}");
    assert_eq!(good + untimed, 3, "{target} {metric}");
}
