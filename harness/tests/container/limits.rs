//! Limits, and that no cgroup outlives its container.

use std::path::PathBuf;

use isobench_container::cgroup::{Cgroup, Controller, Group, Hierarchies};
use nix::sys::signal::Signal;

use super::launcher::{send, started};
use super::{fixture, lines, stderr};

/// A group for one test, in which the launcher makes its own.
pub struct Limits {
    group: Group,
    paths: Vec<PathBuf>,
}

impl Limits {
    /// Makes one where this host allows it; `None`, with the reason printed, where it doesn't.
    pub fn new(name: &str) -> Option<Self> {
        Self::of(name, &[Controller::Memory, Controller::Pids])
    }

    /// Makes one for `controllers`.
    fn of(name: &str, controllers: &[Controller]) -> Option<Self> {
        let hierarchies = Hierarchies::detect_for(controllers).unwrap();
        for controller in controllers {
            if let Err(reason) = hierarchies.of(*controller) {
                println!("skipped: {reason}");
                return None;
            }
        }
        let group = Group::create(
            &hierarchies,
            &format!("isobench-test-{name}-{}", std::process::id()),
        )
        .unwrap();
        group.hand_on_controllers().unwrap();
        let paths = group.below("limits");
        Some(Self { group, paths })
    }

    pub fn flags<'a>(&'a self, limit: &'a [&'a str]) -> Vec<&'a str> {
        let cgroups = self
            .paths
            .iter()
            .flat_map(|path| ["--cgroup", path.to_str().unwrap()]);
        cgroups.chain(limit.iter().copied()).collect()
    }

    /// Removes what a launcher that was killed has left.
    pub fn remove_left(&self) {
        for path in self.paths.iter().filter(|path| path.exists()) {
            Cgroup::adopt(path.clone()).unwrap().remove().unwrap();
        }
    }

    /// Checks that the launcher's cgroups are gone, and removes our own.
    pub fn are_gone(self) {
        for path in &self.paths {
            assert!(!path.exists(), "{}", path.display());
        }
        self.group.remove().unwrap();
    }
}

#[test]
fn threads_stop_at_the_pids_limit() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("pids") else {
        return;
    };
    let threads: u32 = fixture.report(&limits.flags(&["--pids", "20"]), "threads")[0]
        .parse()
        .unwrap();
    // PID 1, the program and its test's thread are in it too.
    assert_eq!(threads, 17);
    limits.are_gone();
}

#[test]
fn too_much_memory_is_an_end_that_is_told() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("memory") else {
        return;
    };
    let flags = limits.flags(&["--memory", "64MiB"]);
    assert_eq!(
        lines(&fixture.command(&flags, "eat 16").output().unwrap()),
        ["16777216"]
    );
    let output = fixture.command(&flags, "eat 256").output().unwrap();
    assert_eq!(output.status.code(), Some(137));
    assert!(
        stderr(&output).contains("hit its memory limit"),
        "{}",
        stderr(&output)
    );
    limits.are_gone();
}

#[test]
fn a_terminated_launcher_leaves_no_cgroup() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("term") else {
        return;
    };
    let (mut child, _reader) =
        started(&mut fixture.command(&limits.flags(&["--pids", "50"]), "wait"));
    assert!(limits.paths.iter().all(|path| path.exists()));
    assert_eq!(limits.group.processes().unwrap().len(), 2);
    send(&child, Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(143));
    limits.are_gone();
}

#[test]
fn what_a_killed_launcher_leaves_is_swept() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("kill") else {
        return;
    };
    let (mut child, _reader) =
        started(&mut fixture.command(&limits.flags(&["--pids", "50"]), "wait"));
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    let paths = limits.paths.clone();
    assert!(paths.iter().all(|path| path.exists()));
    std::mem::forget(limits);
    let prefix = format!("isobench-test-kill-{}", std::process::id());
    Group::sweep(&Hierarchies::detect().unwrap(), |name| {
        name.starts_with(&prefix)
    })
    .unwrap();
    assert!(paths.iter().all(|path| !path.exists()));
}

#[test]
fn a_failed_start_leaves_no_cgroup() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("failed") else {
        return;
    };
    let output = fixture
        .launcher(&limits.flags(&["--pids", "50"]))
        .args(["--", "/missing"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", stderr(&output));
    limits.are_gone();
}

#[test]
fn a_limit_needs_its_controller() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("controller") else {
        return;
    };
    // Under v2 one directory has them all.
    if limits.paths.len() == 2 {
        let pids = limits.paths[1].to_str().unwrap();
        let output = fixture
            .command(&["--cgroup", pids, "--memory", "64MiB"], "nothing")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(125));
        assert!(
            stderr(&output).contains("has the memory controller"),
            "{}",
            stderr(&output)
        );
    }
    limits.are_gone();
}

/// A directory of the v2 hierarchy in which a cgroup can be made, whatever its controllers.
fn unified() -> Option<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let directory = PathBuf::from(mount.split(' ').nth(4)?);
    let probe = directory.join(format!("isobench-test-probe-{}", std::process::id()));
    std::fs::create_dir(&probe).ok()?;
    std::fs::remove_dir(probe).ok()?;
    Some(directory)
}

#[test]
fn a_container_is_born_in_its_v2_cgroup() {
    let Some(fixture) = fixture() else { return };
    let Some(unified) = unified() else {
        println!("skipped: no cgroup2 mount that we may write to");
        return;
    };
    let path = unified.join(format!("isobench-test-birth-{}", std::process::id()));
    let (child, _reader) =
        started(&mut fixture.command(&["--cgroup", path.to_str().unwrap()], "wait"));
    let inside = std::fs::read_to_string(path.join("cgroup.procs")).unwrap();
    assert_eq!(inside.lines().count(), 2);
    send(&child, Signal::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143));
    assert!(!path.exists());
}

#[test]
fn versions_are_not_mixed() {
    let Some(fixture) = fixture() else { return };
    let (Some(unified), Some(limits)) = (unified(), Limits::new("mixed")) else {
        return;
    };
    if limits.paths.len() == 2 {
        let v2 = unified.join(format!("isobench-test-mixed-{}", std::process::id()));
        for paths in [[&v2, &limits.paths[0]], [&limits.paths[0], &v2]] {
            let flags = paths
                .map(|path| ["--cgroup", path.to_str().unwrap()])
                .concat();
            let output = fixture.command(&flags, "nothing").output().unwrap();
            assert_eq!(output.status.code(), Some(125));
            assert!(
                stderr(&output).contains("not of one version"),
                "{}",
                stderr(&output)
            );
            assert!(!v2.exists());
        }
    }
    limits.are_gone();
}
