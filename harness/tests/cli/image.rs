#![expect(clippy::float_cmp, reason = "bytes are counted, and exactly")]
//! What instances take on the disk and in the page cache, of real ones.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use isobench_reports::model::{Run, Status};

use crate::old::{ISOBENCH, Place, can_run, cgroups_of, text};

/// What each instance reads.
const BASE: f64 = 1024.0 * 1024.0;
/// The programs whose pages are counted.
const COUNTED: [&str; 3] = ["workload", "isobench-container", "isobench-vmm"];
/// The others that isobench wants beside itself.
const OTHERS: [&str; 3] = ["isobench", "isobench-floor", "isobench-tracer"];

/// Programs of this test's own: other tests, which run beside it, take theirs out of the page cache.
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

fn start(place: &Place, programs: &Path) -> Child {
    let mut command = Command::new(programs.join("isobench"));
    command
        .args(["run", "--profile", "quick", "--experiments", "image"])
        .args(["--targets", "process,container,microvm-bare"])
        .args(["--out", "out"])
        .env("TMPDIR", place.path("tmp"))
        .env_remove("CARGO")
        .current_dir(place.directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn results(place: &Place) -> Run {
    let json = fs::read(place.path("out/results.json")).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// The values of a target's metrics and parts, of which there are as many as rounds. What is on the disk is always the
/// same; of the page cache it is the most, since the host may take pages back at any time.
fn values(run: &Run, target: &str) -> HashMap<(String, String), f64> {
    let mut values = HashMap::new();
    let of_target = run.samples.iter().filter(|one| one.target == target);
    for sample in of_target {
        assert_eq!(sample.status, Status::Ok, "{sample:?}");
        let value = sample.value.unwrap();
        let name = (sample.metric.clone(), sample.part.clone());
        let most = values.entry(name).or_insert(value);
        let may_vary = sample.metric.starts_with("cache-");
        assert!(value == *most || may_vary, "{target}: {}", sample.metric);
        *most = most.max(value);
    }
    values
}

/// Asserts that pages of `whole` bytes were found in memory: no more, and nearly all.
fn assert_cached(found: f64, whole: f64, what: &str) {
    let least = whole - BASE / 4.0;
    assert!(
        (least..=whole).contains(&found),
        "{what}: {found} of {whole}"
    );
}

/// What the file system has given a file.
fn allocated(path: &Path) -> f64 {
    let found = fs::metadata(path).unwrap();
    (found.blocks() * 512) as f64
}

/// Bytes of the pages that a file fills when all of it is in memory.
fn pages(path: &Path) -> f64 {
    let length = fs::metadata(path).unwrap().len();
    (length.div_ceil(4096) * 4096) as f64
}

#[test]
fn what_is_shared_is_there_once_and_a_copy_each_ten_times() {
    let place = Place::new();
    let programs = own_programs(&place);
    let child = start(&place, &programs);
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
    assert_eq!(cgroups_of(pid), Vec::<PathBuf>::new());
    let run = results(&place);
    for target in ["process", "container", "microvm-bare"] {
        if !can_run(target) {
            continue;
        }
        let values = values(&run, target);
        let of = |metric: &str| values[&(metric.to_owned(), "total".to_owned())];
        let part = |name: &str| values[&("one".to_owned(), name.to_owned())];

        let launcher = launcher_of(target).map(|name| programs.join(name));
        let launcher = launcher.as_deref();
        let workload = programs.join("workload");
        assert_eq!(part("program"), allocated(&workload), "{target}");
        assert_eq!(
            part("launcher"),
            launcher.map_or(0.0, allocated),
            "{target}"
        );
        let parts = ["program", "launcher", "files", "base", "written"].map(part);
        assert_eq!(of("one"), parts.iter().sum::<f64>(), "{target}");
        assert_eq!(of("one"), of("disk-shared-1"), "{target}");

        // Instances of virtual machines and processes write nothing; the upper layers of containers are a few blocks.
        assert_eq!(part("written") > 0.0, target == "container", "{target}");
        let more = of("disk-shared-10") - of("disk-shared-1");
        assert_eq!(more, 9.0 * part("written"), "{target}");
        let more = of("disk-copies-10") - of("disk-copies-1");
        assert_eq!(more, 9.0 * (part("base") + part("written")), "{target}");
        assert!(part("base") >= BASE && part("base") < 1.1 * BASE);

        // One base for all is in memory once, and a copy each as often as there are instances.
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
    let place = Place::new();
    // No file may become as large as a base; the results are smaller.
    let script = "trap '' XFSZ; ulimit -f 1000; exec \"$@\"";
    let output = Command::new("/bin/sh")
        .args(["-c", script, "sh", ISOBENCH, "run", "--profile", "quick"])
        .args(["--experiments", "image", "--targets", "process"])
        .args(["--out", "out"])
        .env("TMPDIR", place.path("tmp"))
        .env_remove("CARGO")
        .current_dir(place.directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(place.left_behind(), Vec::<PathBuf>::new());
    let run = results(&place);
    assert!(!run.samples.is_empty());
    for sample in &run.samples {
        assert_eq!((sample.status, sample.value), (Status::Failed, None));
        let reason = sample.reason.as_deref().unwrap();
        let (what, why) = ("isobench-base, which stands for an image", "too large");
        assert!(reason.contains(what) && reason.contains(why), "{reason}");
    }
}
