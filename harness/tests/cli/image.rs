#![expect(clippy::float_cmp, reason = "bytes are counted, and exactly")]
//! The space that real instances take on the disk and in the page cache.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use isobench_reports::model::Status;

use crate::support::isobench::{Finished, ISOBENCH};
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Bytes of the base that each instance reads.
const BASE: f64 = 1024.0 * 1024.0;
/// The programs whose pages are counted.
const COUNTED: [&str; 3] = ["isobench-workload", "isobench-container", "isobench-vmm"];
/// The other programs that `isobench` looks for in its directory.
const OTHERS: [&str; 3] = ["isobench", "isobench-floor", "isobench-tracer"];

/// Copies the programs for this test. Other tests, which run at the same time, take the built ones
/// out of the page cache.
fn own_programs(place: &Place) -> PathBuf {
    let (built, own) = (Path::new(ISOBENCH).parent().unwrap(), place.path("bin"));
    fs::create_dir(&own).unwrap();
    for name in COUNTED {
        fs::copy(built.join(name), own.join(name)).unwrap();
        File::open(own.join(name)).unwrap().sync_all().unwrap();
    }
    for name in OTHERS {
        fs::hard_link(built.join(name), own.join(name)).unwrap();
    }
    own
}

/// The launcher of a target, if it has one.
fn launcher_of(target: &str) -> Option<&'static str> {
    match target {
        "container" => Some("isobench-container"),
        "microvm-bare" => Some("isobench-vmm"),
        _ => None,
    }
}

/// The value of each metric and part of a target. On the disk it is the same in all rounds. In the
/// page cache it is the highest of the rounds, since the host may take pages back at any time.
fn values(finished: &Finished, target: &str) -> HashMap<(String, String), f64> {
    let mut values = HashMap::new();
    let samples = finished.results().samples.iter();
    for sample in samples.filter(|sample| sample.target == target) {
        assert_eq!(sample.status, Status::Ok, "{sample:?}");
        let value = sample.value.unwrap();
        let name = (sample.metric.clone(), sample.part.clone());
        let most = values.entry(name).or_insert(value);
        if !sample.metric.starts_with("cache-") {
            assert_eq!(value, *most, "{target}: {}", sample.metric);
        }
        *most = most.max(value);
    }
    values
}

/// Asserts that nearly all of `whole` bytes were found in the page cache, and no more.
fn assert_cached(found: f64, whole: f64, what: &str) {
    let least = whole - BASE / 4.0;
    assert!(
        (least..=whole).contains(&found),
        "{what}: {found} of {whole}"
    );
}

/// Bytes that the file system has allocated to a file.
fn allocated(path: &Path) -> f64 {
    let found = fs::metadata(path).unwrap();
    (found.blocks() * 512) as f64
}

/// Bytes of the pages that hold all of a file.
fn pages(path: &Path) -> f64 {
    let length = fs::metadata(path).unwrap().len();
    (length.div_ceil(4096) * 4096) as f64
}

#[test]
fn what_is_shared_is_there_once_and_a_copy_each_ten_times() {
    let place = Place::new();
    let programs = own_programs(&place);
    let isobench = programs.join("isobench");
    let run = place.isobench_at(isobench, &["run", "--out", "out"]);
    let run = run.quick().experiments("image");
    let finished = run.targets("process,container,microvm-bare").succeeds();
    finished.leaves_nothing();
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        let values = values(&finished, target);
        let of = |metric: &str| values[&(metric.to_owned(), "total".to_owned())];
        let part = |name: &str| values[&("one".to_owned(), name.to_owned())];

        let launcher = launcher_of(target).map(|name| programs.join(name));
        let launcher = launcher.as_deref();
        let workload = programs.join("isobench-workload");
        assert_eq!(part("program"), allocated(&workload), "{target}");
        assert_eq!(
            part("launcher"),
            launcher.map_or(0.0, allocated),
            "{target}"
        );
        let parts = ["program", "launcher", "files", "base", "written"].map(part);
        assert_eq!(of("one"), parts.iter().sum::<f64>(), "{target}");
        assert_eq!(of("one"), of("disk-shared-1"), "{target}");

        // Only containers write: the upper layer of each takes a few blocks.
        assert_eq!(part("written") > 0.0, target == "container", "{target}");
        let more = of("disk-shared-10") - of("disk-shared-1");
        assert_eq!(more, 9.0 * part("written"), "{target}");
        let more = of("disk-copies-10") - of("disk-copies-1");
        assert_eq!(more, 9.0 * (part("base") + part("written")), "{target}");
        assert!((BASE..1.1 * BASE).contains(&part("base")), "{target}");

        // A shared base is in the page cache once. Each copy is there as well.
        let whole = pages(&workload) + launcher.map_or(0.0, pages);
        for (metric, bases) in [
            ("cache-shared-1", 1.0),
            ("cache-shared-10", 1.0),
            ("cache-copies-1", 1.0),
            ("cache-copies-10", 10.0),
        ] {
            assert_cached(of(metric), whole + bases * BASE, metric);
        }
    }
}

#[test]
fn a_base_that_can_t_be_written_fails_its_samples_and_leaves_nothing() {
    // This limit of a file's size is below that of a base and above that of the results.
    let script = "trap '' XFSZ; ulimit -f 1000; exec \"$@\"";
    let shell = ["-c", script, "sh", ISOBENCH, "run", "--out", "out"];
    let run = Place::new().isobench_at("/bin/sh", &shell).quick();
    let finished = run.experiments("image").targets("process").ends();
    finished.leaves_nothing().has_code(1);
    let samples = &finished.results().samples;
    assert!(!samples.is_empty());
    for sample in samples {
        assert_eq!(sample.status, Status::Failed, "{sample:?}");
        assert_eq!(sample.value, None, "{sample:?}");
        let reason = sample.reason.as_deref().unwrap();
        for words in ["isobench-base, which stands for an image", "too large"] {
            assert!(reason.contains(words), "{reason}");
        }
    }
}
