//! Many containers at once, and launchers killed at any moment: none fails, and nothing is left.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use isobench::host::probe::pss::process_tree;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use rand::{RngExt as _, SeedableRng as _};

use super::launcher::send;
use super::limits::Limits;
use super::{Fixture, fixture, text};

/// The number of containers that are started at once.
const CROWD: usize = 200;
/// The number of launchers that are killed.
const VICTIMS: usize = 100;
/// Longer than a start takes on a busy host: a kill comes before, during and after it.
const LONGEST_START: Duration = Duration::from_millis(12);

/// A launcher of the idle workload.
fn idle(fixture: &Fixture, flags: &[&str]) -> Command {
    let mut command = fixture.launcher(flags);
    command.args(["--", "/workload", "idle", "--touch", "4KiB"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn crowd() -> Option<Fixture> {
    let fixture = fixture()?;
    let workload = env!("CARGO_BIN_EXE_isobench-workload");
    fs::copy(workload, fixture.path("layer/workload")).unwrap();
    Some(fixture)
}

/// The flags of container `number`: its own cgroups in the group of `limits`, if there is one.
fn flags(limits: Option<&Limits>, number: usize) -> Vec<String> {
    let Some(limits) = limits else {
        return Vec::new();
    };
    let paths = limits.group.below(&format!("limits-{number}"));
    let cgroups = paths
        .iter()
        .flat_map(|path| ["--cgroup".to_owned(), text(path).to_owned()]);
    let limit = ["--memory", "64MiB", "--pids", "16"].map(str::to_owned);
    cgroups.chain(limit).collect()
}

/// Checks that nothing is mounted in the fixture, and that it has no new files.
fn nothing_is_left(fixture: &Fixture, limits: Option<Limits>) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(text(&fixture.path(""))), "{mounts}");
    assert_eq!(
        Fixture::names(&fixture.path("")),
        ["launcher", "layer", "scratch"]
    );
    assert_eq!(Fixture::names(&fixture.path("scratch")), [""; 0]);
    assert_eq!(
        Fixture::names(&fixture.path("layer")),
        ["program", "workload"]
    );
    if let Some(limits) = limits {
        assert_eq!(limits.group.processes().unwrap(), []);
        for cgroup in limits.group.below("") {
            assert_eq!(directories(&cgroup), [""; 0]);
        }
        limits.are_gone();
    }
}

fn directories(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap().flatten();
    let directories = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    directories
        .map(|entry| entry.path().display().to_string())
        .collect()
}

#[test]
fn two_hundred_at_once_all_run_and_leave_nothing() {
    let Some(fixture) = crowd() else { return };
    let limits = Limits::new("crowd");
    let mut children: Vec<Child> = (0..CROWD)
        .map(|number| {
            let flags = flags(limits.as_ref(), number);
            let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
            idle(&fixture, &flags).spawn().unwrap()
        })
        .collect();
    for child in &mut children {
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "isobench/1 ready\n");
    }
    // All containers run at this moment, each with launcher, PID 1 and program.
    for child in &children {
        let launcher = Pid::from_raw(child.id().try_into().unwrap());
        assert_eq!(process_tree(launcher).unwrap().len(), 3);
    }
    for mut child in children {
        drop(child.stdin.take());
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    nothing_is_left(&fixture, limits);
}

/// Whether all processes that hold the writing end of `pipe` close it in time.
fn is_let_go(pipe: &OwnedFd, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    let mut file = fs::File::from(pipe.try_clone().unwrap());
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        let timeout = PollTimeout::try_from(left).unwrap();
        let mut waited = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        if poll(&mut waited, timeout).unwrap() > 0 && file.read(&mut [0; 4096]).unwrap() == 0 {
            return true;
        }
    }
    false
}

#[test]
fn launchers_killed_at_any_moment_leave_no_process_and_no_mount() {
    let Some(fixture) = crowd() else { return };
    let limits = Limits::new("victims");
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::ChaCha8Rng::seed_from_u64(seed);
    // All processes that a launcher starts hold the writing end.
    let (reader, writer) = nix::unistd::pipe().unwrap();
    for number in 0..VICTIMS {
        let flags = flags(limits.as_ref(), number);
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let mut command = idle(&fixture, &flags);
        command.stdout(writer.try_clone().unwrap()).process_group(0);
        let mut child = command.spawn().unwrap();
        sleep(random.random_range(Duration::ZERO..LONGEST_START));
        send(&child, Signal::SIGKILL);
        child.wait().unwrap();
    }
    drop(writer);
    assert!(
        is_let_go(&reader, Duration::from_secs(30)),
        "a process is left"
    );
    // A killed launcher leaves empty cgroups, which its starter has to remove.
    if let Some(limits) = &limits {
        // A process closes its files a moment before it leaves its cgroup.
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline && !limits.group.processes().unwrap().is_empty() {
            sleep(Duration::from_millis(5));
        }
        assert_eq!(limits.group.processes().unwrap(), []);
        for number in 0..VICTIMS {
            for path in limits.group.below(&format!("limits-{number}")) {
                // A launcher that was killed early hasn't made the cgroup.
                let _ = fs::remove_dir(&path);
                assert!(!path.exists(), "{}", path.display());
            }
        }
    }
    nothing_is_left(&fixture, limits);
}

#[test]
fn a_launcher_that_inherits_ignored_signals_sees_its_containers_end() {
    let Some(fixture) = crowd() else { return };
    let mut command = idle(&fixture, &[]);
    let ignore = || {
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGPIPE] {
            // SAFETY: ignoring runs no code of ours.
            unsafe { nix::sys::signal::signal(signal, nix::sys::signal::SigHandler::SigIgn) }?;
        }
        Ok(())
    };
    // SAFETY: it makes system calls only.
    unsafe { command.pre_exec(ignore) };
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the launcher waits forever");
        sleep(Duration::from_millis(5));
    }
}
