//! Directories for temporary files as users have them: a run works there, takes another place and
//! says so, or refuses before it begins.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use isobench_reports::model::Status;
use isobench_testing::{Need, lacks};

use crate::support::isobench::{Finished, ISOBENCH, Isobench, WORKLOAD};
use crate::support::place::Place;
use crate::support::traces;

/// What a run says that takes another directory than `TMPDIR`.
const ELSEWHERE: &str = "is not used: ";

/// `isobench` with these arguments, in a mount namespace in which `mounts`, a shell command in the
/// place's directory, has been done.
fn mounted(place: &Place, mounts: &str, arguments: &[&str]) -> Isobench {
    let script = format!("set -e; {mounts}; exec \"$@\"");
    let shell = ["--mount", "/bin/sh", "-c", &script, "sh", ISOBENCH];
    place.isobench_at("/usr/bin/unshare", &[&shell[..], arguments].concat())
}

fn can_mount() -> bool {
    !lacks(Need::Root) && !lacks(Need::Program("unshare"))
}

/// The arguments of an `exec` of the ready workload.
fn exec(target: &str) -> [&str; 6] {
    ["exec", "--target", target, "--", WORKLOAD, "ready"]
}

/// The arguments of a quick run.
fn run<'a>(targets: &'a str, experiments: &'a str) -> [&'a str; 9] {
    [
        "run",
        "--out",
        "out",
        "--profile",
        "quick",
        "--targets",
        targets,
        "--experiments",
        experiments,
    ]
}

#[track_caller]
fn no_sample_failed(finished: &Finished) {
    finished.has_code(0);
    let mut rows = finished.results().samples.iter();
    let failed = rows.find(|row| row.status == Status::Failed);
    assert_eq!(failed, None);
}

#[test]
fn a_path_that_options_of_runtimes_can_t_hold_is_not_used() {
    for name in ["a:b", "a,b", "a\\b", "a\"b", "aü"] {
        let place = Place::new();
        fs::create_dir(place.path(name)).unwrap();
        let there = |command: Isobench| command.environment("TMPDIR", place.path(name));
        let finished = there(place.isobench(&exec("container"))).succeeds();
        assert_eq!(finished.stdout, "isobench/1 ready\n");
        finished.says(ELSEWHERE).says("TMPDIR=");
        finished.says("which options of runtimes can't hold");
        assert!(traces::entries(&place.path(name)).is_empty(), "{name}");
        if name == "a:b" {
            let command = place.isobench(&run("process,container", "disk"));
            no_sample_failed(&there(command).ends());
        }
    }
}

#[test]
fn a_path_with_spaces_is_used() {
    let place = Place::new();
    fs::create_dir(place.path("a b")).unwrap();
    let command = place.isobench(&run("process,container,lxc", "disk"));
    let finished = command.environment("TMPDIR", place.path("a b")).ends();
    no_sample_failed(&finished);
    assert!(!finished.stderr.contains(ELSEWHERE), "{finished:?}");
}

#[test]
fn a_place_without_programs_or_space_is_not_used() {
    if !can_mount() {
        return;
    }
    for (mounts, words) in [
        ("mount -t tmpfs -o noexec x tmp", "it is mounted noexec"),
        (
            "mount -t tmpfs -o size=1m x tmp",
            "are free there, and the run needs",
        ),
        ("rmdir tmp", "No such file or directory"),
    ] {
        for target in ["process", "container"] {
            let place = Place::new();
            let finished = mounted(&place, mounts, &exec(target)).succeeds();
            assert_eq!(finished.stdout, "isobench/1 ready\n");
            finished.says(ELSEWHERE).says(words).says_one_line();
        }
    }
}

#[test]
fn a_place_that_a_container_s_root_can_t_reach_is_not_used() {
    if lacks(Need::Root) {
        return;
    }
    let place = Place::new();
    fs::set_permissions(place.path("tmp"), fs::Permissions::from_mode(0o700)).unwrap();
    let finished = place
        .isobench(&run("process,container,crun", "startup"))
        .ends();
    no_sample_failed(&finished);
    finished.says(ELSEWHERE).says("chmod o+x");
}

#[test]
fn memory_is_used_unless_a_disk_is_measured() {
    if !can_mount() {
        return;
    }
    let mount = "mount -t tmpfs x tmp";
    for mount in [mount, "mount -t ramfs x tmp; chmod 755 tmp"] {
        for target in ["process", "container", "bwrap"] {
            let place = Place::new();
            let finished = mounted(&place, mount, &exec(target)).succeeds();
            assert_eq!(finished.stderr, "", "{target}");
        }
    }
    let place = Place::new();
    let startup = mounted(&place, mount, &run("process,container", "startup")).ends();
    no_sample_failed(&startup);
    assert!(!startup.stderr.contains(ELSEWHERE), "{startup:?}");
    let place = Place::new();
    let disk = mounted(&place, mount, &run("process,container", "disk")).ends();
    no_sample_failed(&disk);
    disk.says(ELSEWHERE)
        .says("it is in memory, and the run measures a disk");
}

#[test]
fn overlayfs_is_used() {
    if !can_mount() || lacks(Need::Overlayfs) {
        return;
    }
    let place = Place::new();
    let mount = "mkdir l u w; mount -t overlay -o lowerdir=l,upperdir=u,workdir=w x tmp";
    let arguments = run("process,container,podman", "startup");
    let finished = mounted(&place, mount, &arguments).ends();
    no_sample_failed(&finished);
    assert!(!finished.stderr.contains(ELSEWHERE), "{finished:?}");
}

#[test]
fn without_any_place_the_run_is_refused_before_it_begins() {
    if !can_mount() {
        return;
    }
    let place = Place::new();
    let all = "for d in /var/tmp tmp .; do mount -t tmpfs -o noexec x $d; done; cd .";
    for arguments in [&run("process", "startup")[..], &exec("container")] {
        let finished = mounted(&place, all, arguments).refuses("it is mounted noexec");
        finished.says("TMPDIR=");
        assert!(!place.path("out").exists());
    }
}
