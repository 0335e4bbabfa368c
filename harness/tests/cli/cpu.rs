//! The prices of system calls, faults and more, from real instances, and the processor time of starts.

use isobench_reports::model::Status;

use crate::support::isobench::{Finished, Isobench};
use crate::support::needs::can_run;
use crate::support::results::rows;

/// The metrics of which `target` has a figure above zero.
fn priced(finished: &Finished, target: &str) -> Vec<String> {
    let metrics = finished.results().experiments[0].metrics.iter();
    let names = metrics.map(|metric| metric.name.clone());
    let is_priced = |name: &String| {
        finished
            .values(target, name)
            .iter()
            .any(|value| *value > 0.0)
    };
    names.filter(is_priced).collect()
}

#[test]
fn every_target_pays_and_what_it_cannot_pay_has_a_reason() {
    let run = Isobench::run().quick().experiments("cpu");
    let finished = run
        .targets("process,container,microvm-bare,floor-kvm")
        .succeeds();
    finished.leaves_nothing();
    let guest = [
        "system-call",
        "page-fault",
        "context-switch",
        "clock",
        "timer",
        "integer",
        "float",
        "memory-read",
        "random-access",
    ];
    let all = [&guest[..2], &["page-fault-file"], &guest[2..]].concat();
    assert_eq!(priced(&finished, "process"), all);
    if can_run("container") {
        assert_eq!(priced(&finished, "container"), all);
    }
    if can_run("microvm-bare") {
        assert_eq!(priced(&finished, "microvm-bare"), guest);
        assert_eq!(priced(&finished, "floor-kvm"), ["exit"]);
        let samples = finished.results().samples.iter();
        let refused: Vec<_> = samples
            .filter(|sample| sample.target == "microvm-bare")
            .filter(|sample| sample.status == Status::Unavailable)
            .map(|sample| (sample.metric.as_str(), sample.reason.as_deref().unwrap()))
            .collect();
        assert_eq!(refused.len(), 2, "{refused:?}");
        let file = (
            "page-fault-file",
            "without a kernel the disk can't be mapped",
        );
        assert!(refused.contains(&file), "{refused:?}");
    }
}

#[test]
fn processor_time_that_a_launcher_does_not_wait_for_is_unavailable() {
    let run = Isobench::run().quick().experiments("startup");
    let finished = run.targets("process,bwrap").succeeds();
    assert!(!finished.values("process", "cpu").is_empty());
    if !can_run("bwrap") {
        return;
    }
    assert!(!finished.values("bwrap", "ready").is_empty());
    for metric in ["cpu", "waiting"] {
        let rows = rows(finished.results(), "bwrap", metric);
        assert!(!rows.is_empty(), "{metric}");
        for row in rows {
            assert_eq!(row.status, Status::Unavailable, "{metric}");
            let reason = row.reason.as_deref().unwrap_or_default();
            assert!(reason.contains("doesn't wait for the program"), "{reason}");
        }
    }
}
