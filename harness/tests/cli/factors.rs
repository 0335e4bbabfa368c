//! Start-up and what changes it: cold files, idle gaps, instances that run already.

use std::fs;

use crate::old::{Place, can_run, cgroups_of, text};
use isobench_reports::model::{Run, Sample, Status};

/// A quick run of `experiment`, of which nothing may be left.
fn run(experiment: &str, targets: &str) -> Run {
    let place = Place::new();
    let child = place.start(&[
        "run",
        "--profile",
        "quick",
        "--experiments",
        experiment,
        "--targets",
        targets,
        "--out",
        "out",
    ]);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.left_behind(), Vec::<std::path::PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<std::path::PathBuf>::new());
    let json = fs::read(place.path("out/results.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The values of a metric as a whole; a sample of it that failed is told.
fn values(run: &Run, target: &str, metric: &str) -> Vec<f64> {
    let of = run.samples.iter().filter(|sample| {
        sample.target == target && sample.metric == metric && sample.part == "total"
    });
    let counted = of.filter(|sample| sample.status != Status::Warmup && !is_in_use(sample));
    counted
        .map(|sample| sample.value.unwrap_or_else(|| panic!("{sample:?}")))
        .collect()
}

/// Whether a sample failed because the tests beside this one ran the same programs just then.
fn is_in_use(sample: &Sample) -> bool {
    let reason = sample.reason.as_deref().unwrap_or_default();
    sample.status == Status::Failed && reason.contains("stay in memory")
}

#[test]
fn a_cold_start_reads_its_files_and_a_warm_one_finds_them() {
    let run = run("start-cold", "process,container,microvm-bare");
    for target in ["process", "container", "microvm-bare"] {
        if can_run(target) {
            assert_eq!(values(&run, target, "warm").len(), 10, "{target}");
            let read = values(&run, target, "read");
            let in_use = run.samples.iter().filter(|sample| {
                sample.target == target && sample.metric == "read" && is_in_use(sample)
            });
            let all = read.len() + in_use.count();
            // A round to warm up may have failed as well.
            assert!(
                !read.is_empty() && (10..=11).contains(&all),
                "{target}: {all}"
            );
            // At the least the page that the program begins in.
            assert!(read.iter().all(|bytes| *bytes >= 4096.0), "{read:?}");
        }
    }
}

#[test]
fn gaps_are_recorded_and_kept() {
    let run = run("start-gaps", "process");
    let metrics = &run.experiments[0].metrics;
    let gaps: Vec<_> = metrics.iter().map(|metric| metric.idle_gap_ms).collect();
    assert_eq!(gaps, [Some(0), Some(50), Some(250)]);
    assert_eq!(values(&run, "process", "gap-250").len(), 6);
    // Six rounds of 50 and 250 ms, and one to warm up.
    assert!(run.duration_seconds > 2.0, "{}", run.duration_seconds);
}

#[test]
fn starts_are_timed_beside_a_hundred_others() {
    let run = run("start-beside", "process,container");
    for target in ["process", "container"] {
        if can_run(target) {
            for metric in ["beside-0", "beside-100"] {
                let starts = values(&run, target, metric).len();
                assert!(
                    starts > 0 && starts.is_multiple_of(5),
                    "{target} {metric}: {starts}"
                );
            }
        }
    }
}
