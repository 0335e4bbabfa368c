//! Start-up, and what makes it slower: cold files, idle gaps, instances that run already.

use isobench_reports::model::{Sample, Status};

use crate::support::isobench::{Finished, Isobench};
use crate::support::needs::can_run;
use crate::support::results::rows;

/// A quick run of `experiment`, which leaves nothing.
fn run(experiment: &str, targets: &str) -> Finished {
    let run = Isobench::run().quick().experiments(experiment);
    let finished = run.targets(targets).succeeds();
    finished.leaves_nothing();
    finished
}

/// The samples of a metric that count. They must be good, unless another test was in the way.
fn counted<'a>(finished: &'a Finished, target: &str, metric: &str) -> Vec<&'a Sample> {
    let mut rows = rows(finished.results(), target, metric);
    rows.retain(|row| row.status != Status::Warmup && !is_in_use(row));
    for row in &rows {
        assert_eq!(row.status, Status::Ok, "{row:?}");
    }
    rows
}

/// Whether a sample failed because another test ran the same programs at that moment.
fn is_in_use(sample: &Sample) -> bool {
    let reason = sample.reason.as_deref().unwrap_or_default();
    sample.status == Status::Failed && reason.contains("stay in memory")
}

#[test]
fn a_cold_start_reads_its_files_and_a_warm_one_finds_them() {
    let finished = run("start-cold", "process,container,microvm-bare");
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        assert_eq!(counted(&finished, target, "warm").len(), 10, "{target}");
        let read = counted(&finished, target, "read");
        assert!(!read.is_empty(), "{target}");
        let in_use = rows(finished.results(), target, "read");
        let in_use = in_use.into_iter().filter(|sample| is_in_use(sample));
        let all = read.len() + in_use.count();
        // A round that warms up may have failed as well.
        assert!((10..=11).contains(&all), "{target}: {all}");
        for sample in read {
            // The program's first page is read, at the least.
            assert!(sample.value >= Some(4096.0), "{sample:?}");
        }
    }
}

#[test]
fn gaps_are_recorded_and_kept() {
    let finished = run("start-gaps", "process");
    let run = finished.results();
    let metrics = &run.experiments[0].metrics;
    let gaps: Vec<_> = metrics.iter().map(|metric| metric.idle_gap_ms).collect();
    assert_eq!(gaps, [Some(0), Some(50), Some(250)]);
    assert_eq!(counted(&finished, "process", "gap-250").len(), 6);
    // Six rounds of 50 and 250 ms, and one that warms up.
    assert!(run.duration_seconds > 2.0, "{}", run.duration_seconds);
}

#[test]
fn starts_are_timed_beside_a_hundred_others() {
    let finished = run("start-beside", "process,container");
    for target in ["process", "container"] {
        if !can_run(target) {
            continue;
        }
        for metric in ["beside-0", "beside-100"] {
            let starts = counted(&finished, target, metric).len();
            assert!(starts > 0, "{target} {metric}");
            assert_eq!(starts % 5, 0, "{target} {metric}: {starts}");
        }
    }
}

#[test]
fn a_program_that_initialises_starts_in_each_way_that_its_target_has() {
    let finished = run("start-warm", "process,container,microvm-bare");
    for (target, ways, missing) in [
        ("process", &["cold", "fork"][..], &["pool", "restore"][..]),
        (
            "container",
            &["cold", "fork", "pool", "pool-least"],
            &["restore"],
        ),
        (
            "microvm-bare",
            &[
                "cold",
                "fork",
                "pool",
                "pool-least",
                "restore",
                "snapshot-size",
            ],
            &[],
        ),
    ] {
        if !can_run(target) {
            continue;
        }
        for way in ways {
            assert!(
                !counted(&finished, target, way).is_empty(),
                "{target} {way}"
            );
        }
        for way in missing {
            let rows = rows(finished.results(), target, way);
            let is_told = |row: &&Sample| row.status == Status::Unavailable && row.reason.is_some();
            assert!(
                rows.iter().all(is_told) && !rows.is_empty(),
                "{target} {way}: {rows:?}"
            );
        }
    }
}
