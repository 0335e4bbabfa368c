//! Limits are kept, and no cgroup outlives its container.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use isobench_container::cgroup::{BlockDevice, Cgroup, Controller, Group, Hierarchies, Usage};
use isobench_testing::{Need, or_skip, skip};
use nix::sys::signal::Signal;

use super::launcher::{send, started};
use super::support::ended::Ended;
use super::{fixture, lines};

/// A test's group of cgroups, in which the launcher makes its own.
pub struct Limits {
    pub group: Group,
    pub paths: Vec<PathBuf>,
}

impl Limits {
    /// Makes a group for memory and processes. `None` if this host doesn't allow that.
    pub fn new(name: &str) -> Option<Self> {
        Self::of(name, &[Controller::Memory, Controller::Pids])
    }

    /// Makes a group for `controllers`. `None` if this host doesn't allow that.
    fn of(name: &str, controllers: &[Controller]) -> Option<Self> {
        let hierarchies = Hierarchies::detect_for(controllers).unwrap();
        for controller in controllers {
            or_skip(Need::Cgroup, hierarchies.of(*controller))?;
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

    /// Removes the cgroups that a killed launcher has left.
    pub fn remove_left(&self) {
        for path in self.paths.iter().filter(|path| path.exists()) {
            Cgroup::adopt(path.clone()).unwrap().remove().unwrap();
        }
    }

    /// Checks that the launcher's cgroups are gone, and removes the test's.
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
    // PID 1, the program and the thread of its test count, too.
    assert_eq!(threads, 17);
    limits.are_gone();
}

#[test]
fn a_container_sees_its_own_cgroups_where_that_is_asked_for() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("view") else {
        return;
    };
    let flags = limits.flags(&["--pids", "20", "--show-cgroups"]);
    let mut found = fixture.report(&flags, "list /sys/fs/cgroup");
    if found.contains(&"pids".to_owned()) {
        found = fixture.report(&flags, "list /sys/fs/cgroup/pids");
    }
    assert!(found.contains(&"pids.max".to_owned()), "{found:?}");
    // Without overlayfs, too.
    let flags = limits.flags(&["--root", "binds", "--show-cgroups"]);
    assert_ne!(fixture.report(&flags, "list /sys/fs/cgroup"), [""; 0]);
    limits.are_gone();
}

#[test]
fn too_much_memory_is_an_end_that_is_told() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("memory") else {
        return;
    };
    let flags = limits.flags(&["--memory", "64MiB"]);
    assert_eq!(fixture.report(&flags, "eat 16"), ["16777216"]);
    let ended = fixture.ends(&flags, "eat 256");
    ended.has_code(137).says("hit its memory limit");
    limits.are_gone();
}

/// The figure before `what` in the launcher's line about used resources.
fn used(stderr: &str, what: &str) -> f64 {
    let line = stderr.lines().find(|line| line.contains(" used ")).unwrap();
    let before = line.split(what).next().filter(|before| *before != line);
    let number = before.and_then(|before| before.trim_end().rsplit(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap()
}

#[test]
fn processor_time_is_held_to_its_limit_and_told() {
    let Some(fixture) = fixture() else { return };
    let controllers = [Controller::Cpu, Controller::CpuAccounting];
    let Some(limits) = Limits::of("cpu", &controllers) else {
        return;
    };
    let started = Instant::now();
    let flags = limits.flags(&["--cpus", "0.05", "--usage"]);
    let ended = fixture.ends(&flags, "burn 60");
    assert_eq!(lines(&ended), ["burnt"], "{ended:?}");
    // 60 ms at 5 ms in each 100 ms take at least this long. A busy host only takes longer.
    assert!(started.elapsed() > Duration::from_millis(600));
    let said = &ended.stderr;
    assert!(used(said, "s of CPU time") >= 0.06, "{said}");
    assert!(used(said, "s throttled") > 0.0, "{said}");
    limits.are_gone();
}

#[test]
fn a_device_is_read_no_faster_than_its_limit_and_the_bytes_are_told() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::of("io", &[Controller::Io]) else {
        return;
    };
    // Cargo's directory is on a disk. The fixture may be in memory.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let file = directory.path().join("file");
    fs::write(&file, vec![1; 1 << 20]).unwrap();
    fs::File::open(&file).unwrap().sync_all().unwrap();
    if or_skip(Need::BlockDevice, BlockDevice::behind(&file)).is_none() {
        return;
    }
    let (bind, rate) = (
        format!("{}:/file", file.display()),
        format!("{}:1MiB", file.display()),
    );
    let flags = ["--bind", &bind, "--io-read-bps", &rate, "--usage"];
    let started = Instant::now();
    let ended = fixture.ends(&limits.flags(&flags), "read-direct /file");
    let lines = lines(&ended);
    if lines[0].contains("no O_DIRECT") {
        skip(Need::DirectIo, &lines[0]);
        return;
    }
    assert_eq!(lines, ["1048576"], "{ended:?}");
    assert!(started.elapsed() > Duration::from_millis(500));
    assert!(used(&ended.stderr, "MiB read") >= 1.0, "{ended:?}");
    limits.are_gone();
}

#[test]
fn a_living_containers_use_can_be_read() {
    let Some(fixture) = fixture() else { return };
    let Some(limits) = Limits::new("usage") else {
        return;
    };
    let (child, _reader) = started(&mut fixture.command(&limits.flags(&[]), "wait"));
    let adopted = limits.paths.iter().cloned().map(Cgroup::adopt);
    let cgroups: Vec<_> = adopted.collect::<Result<_, _>>().unwrap();
    let usage = Usage::of(&cgroups);
    // The launcher removes them.
    cgroups.into_iter().for_each(std::mem::forget);
    // PID 1, the program and the thread of its test.
    assert_eq!(usage.processes, Some(3));
    assert!(usage.processes_peak.is_none_or(|peak| peak >= 3));
    send(&child, Signal::SIGTERM);
    child.wait_with_output().unwrap();
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
    Group::sweep(&Hierarchies::detect().unwrap(), |path| {
        let name = path.file_name()?.to_str()?;
        name.starts_with(&prefix).then_some(())
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
    let mut command = fixture.launcher(&limits.flags(&["--pids", "50"]));
    Ended::of(command.args(["--", "/missing"])).has_code(125);
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
        let ended = fixture.ends(&["--cgroup", pids, "--memory", "64MiB"], "nothing");
        ended.has_code(125).says("has the memory controller");
    }
    limits.are_gone();
}

/// A directory of the v2 hierarchy in which a cgroup can be made, whatever its controllers.
pub fn unified() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let directory = PathBuf::from(mount.split(' ').nth(4)?);
    let probe = directory.join(format!("isobench-test-probe-{}", std::process::id()));
    fs::create_dir(&probe).ok()?;
    fs::remove_dir(probe).ok()?;
    Some(directory)
}

#[test]
fn a_container_is_born_in_its_v2_cgroup() {
    let Some(fixture) = fixture() else { return };
    let unified = unified().ok_or("no cgroup2 mount can be written to");
    let Some(unified) = or_skip(Need::CgroupV2, unified) else {
        return;
    };
    let path = unified.join(format!("isobench-test-birth-{}", std::process::id()));
    let (child, _reader) =
        started(&mut fixture.command(&["--cgroup", path.to_str().unwrap()], "wait"));
    let inside = fs::read_to_string(path.join("cgroup.procs")).unwrap();
    assert_eq!(inside.lines().count(), 2);
    send(&child, Signal::SIGTERM);
    Ended::from(child.wait_with_output().unwrap()).has_code(143);
    assert!(!path.exists());
}

#[test]
fn versions_are_not_mixed() {
    let Some(fixture) = fixture() else { return };
    let unified = unified().ok_or("no cgroup2 mount can be written to");
    let Some(unified) = or_skip(Need::CgroupV2, unified) else {
        return;
    };
    let Some(limits) = Limits::new("mixed") else {
        return;
    };
    if limits.paths.len() == 2 {
        let v2 = unified.join(format!("isobench-test-mixed-{}", std::process::id()));
        for paths in [[&v2, &limits.paths[0]], [&limits.paths[0], &v2]] {
            let flags = paths
                .map(|path| ["--cgroup", path.to_str().unwrap()])
                .concat();
            let ended = fixture.ends(&flags, "nothing");
            ended.has_code(125).says("not of one version");
            assert!(!v2.exists());
        }
    }
    limits.are_gone();
}
