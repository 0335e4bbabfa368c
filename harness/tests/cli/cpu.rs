//! The prices of running, from real instances.

use std::path::PathBuf;

use isobench_reports::model::{Run, Sample, Status};

use crate::old::{Place, can_run, cgroups_of, text};

fn samples<'a>(run: &'a Run, target: &'a str) -> impl Iterator<Item = &'a Sample> {
    let samples = run.samples.iter();
    samples.filter(move |sample| sample.target == target)
}

/// The metrics of which `target` has a figure.
fn priced(run: &Run, target: &str) -> Vec<String> {
    let metrics = run.experiments[0].metrics.iter();
    let names = metrics.map(|metric| metric.name.clone());
    let taken = |name: &String| {
        let mut of = samples(run, target).filter(|sample| sample.metric == *name);
        of.any(|sample| sample.status == Status::Ok && sample.value > Some(0.0))
    };
    names.filter(taken).collect()
}

#[test]
fn every_target_pays_and_what_it_cannot_pay_has_a_reason() {
    let place = Place::new();
    let child = place.start(&[
        "run",
        "--profile",
        "quick",
        "--experiments",
        "cpu",
        "--targets",
        "process,container,microvm-bare,floor-kvm",
        "--out",
        "out",
    ]);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = std::fs::read(place.path("out/results.json")).unwrap();
    let run: Run = serde_json::from_slice(&json).unwrap();
    let guest = [
        "system-call",
        "page-fault",
        "clock",
        "timer",
        "integer",
        "float",
        "memory-read",
        "random-access",
    ];
    let kernel = [
        &guest[..2],
        &["page-fault-file", "context-switch"],
        &guest[2..],
    ]
    .concat();
    assert_eq!(priced(&run, "process"), kernel);
    if can_run("container") {
        assert_eq!(priced(&run, "container"), kernel);
    }
    if can_run("microvm-bare") {
        assert_eq!(priced(&run, "microvm-bare"), guest);
        assert_eq!(priced(&run, "floor-kvm"), ["exit"]);
        let refused = samples(&run, "microvm-bare")
            .filter(|sample| sample.status == Status::Unavailable)
            .map(|sample| (sample.metric.as_str(), sample.reason.as_deref().unwrap()));
        let refused: Vec<_> = refused.collect();
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert!(refused.contains(&("context-switch", "without a kernel there is one thread")));
    }
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
}
