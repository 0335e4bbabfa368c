//! Instances that stay, from real ones.

use std::path::PathBuf;

use isobench_reports::model::{Run, Status};
use isobench_reports::statistics::median;

use crate::old::{Place, can_run, cgroups_of, text};

#[test]
fn more_instances_take_more_memory_and_none_is_left() {
    let place = Place::new();
    let child = place.start(&[
        "run",
        "--profile",
        "quick",
        "--experiments",
        "density",
        "--targets",
        "process,container,microvm-bare",
        "--out",
        "out",
    ]);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = std::fs::read(place.path("out/results.json")).unwrap();
    let run: Run = serde_json::from_slice(&json).unwrap();
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
    let unaccounted = run
        .warnings
        .iter()
        .any(|warning| warning.contains("not accounted"));
    if unaccounted {
        println!("skipped: no cgroup can be made here, so no memory is charged to one");
        return;
    }
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        let good = |metric: &str| -> Vec<f64> {
            let of = run.samples.iter().filter(|sample| {
                sample.target == target && sample.metric == metric && sample.status == Status::Ok
            });
            of.filter_map(|sample| sample.value).collect()
        };
        let (mut one, mut two, mut price) =
            (good("charge-1"), good("charge-2"), good("per-instance"));
        assert!(one.len() == 3 && price.len() == 3, "{target}: {one:?}");
        // Not each round: another test that starts cold may take a program's pages out of the page cache between two.
        assert!(
            median(&mut two) > median(&mut one) && median(&mut price) > Some(0.0),
            "{target}: {one:?}, {two:?}, {price:?}"
        );
    }
    assert!(text(&output.stdout).contains("if nothing but memory limits them"));
}
