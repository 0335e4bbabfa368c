//! Two isobenches beside each other, which share the directory for temporary files and the cgroup.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use isobench_reports::model::Status;
use isobench_testing::{Need, lacks};
use nix::sys::signal::Signal;

use crate::support::isobench::{ISOBENCH, Isobench, Running, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::traces;

/// Puts a command into a PID namespace of its own, which ends with `unshare`.
const APART: [&str; 5] = ["--fork", "--pid", "--mount-proc", "--kill-child", ISOBENCH];

/// Where an isobench runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum World {
    OfTheTest,
    Apart,
}

impl World {
    fn isobench(self, place: &Place, arguments: &[&str]) -> Isobench {
        match self {
            Self::OfTheTest => place.isobench(arguments),
            Self::Apart => place.isobench_at("/usr/bin/unshare", &[&APART, arguments].concat()),
        }
    }

    /// A run that lasts some seconds.
    fn run(self, place: &Place) -> Running {
        let run = self.isobench(place, &["run", "--out", "out", "--profile", "standard"]);
        let run = run.targets("process,container").experiments("startup");
        run.options(&["--max-time", "5s"]).starts()
    }

    fn exec(self, place: &Place) -> Isobench {
        let exec = self.isobench(place, &["exec", "--target", "container"]);
        exec.program(&[WORKLOAD, "ready"])
    }
}

/// The worlds of a run and of what is started beside the run.
const WORLDS: [(World, World); 4] = [
    (World::OfTheTest, World::OfTheTest),
    (World::OfTheTest, World::Apart),
    (World::Apart, World::OfTheTest),
    (World::Apart, World::Apart),
];

fn can_be_apart() -> bool {
    !lacks(Need::Root) && !lacks(Need::Program("unshare"))
}

#[test]
fn two_at_once_leave_each_other_alone_in_one_and_in_two_pid_namespaces() {
    if !can_be_apart() {
        return;
    }
    for (first, second) in WORLDS {
        let place = Place::new();
        let mut run = first.run(&place);
        run.takes_samples();
        let before = traces::temporary_files(&place);
        assert_eq!(before.len(), 1, "{first:?}: {before:?}");
        let finished = second.exec(&place).succeeds();
        assert_eq!(finished.stdout, "isobench/1 ready\n");
        assert_eq!(
            traces::temporary_files(&place),
            before,
            "{second:?} beside {first:?}"
        );
        let finished = run.ends();
        finished.has_code(0);
        let mut rows = finished.results().samples.iter();
        let failed = rows.find(|row| row.status == Status::Failed);
        assert_eq!(failed, None, "{second:?} beside {first:?}");
        finished.has_rows("startup", "ready", &["process", "container"]);
        assert_eq!(traces::temporary_files(&place), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_second_run_into_the_same_directory_is_refused() {
    let place = Place::new();
    let mut run = World::OfTheTest.run(&place);
    run.takes_samples();
    let second = place.run().quick().targets("process");
    second.refuses("another run writes to out: choose another output");
    let finished = run.ends();
    finished.has_code(0);
    finished.has_rows("startup", "ready", &["process"]);
}

#[test]
fn what_a_killed_run_leaves_is_cleared_away_from_any_pid_namespace() {
    if !can_be_apart() {
        return;
    }
    for (first, second) in WORLDS {
        let place = Place::new();
        let mut run = first.run(&place);
        run.takes_samples();
        // The first process of a PID namespace takes all others with it.
        run.send(Signal::SIGKILL);
        run.ends();
        assert_eq!(traces::temporary_files(&place).len(), 1);
        second.exec(&place).succeeds();
        let left = traces::temporary_files(&place);
        assert_eq!(left, Vec::<PathBuf>::new(), "{second:?} after {first:?}");
    }
}

/// Targets of peers whose runtimes keep something outside of the run's directory: sockets, locks,
/// records of machines.
const PEERS: [&str; 9] = [
    "bwrap",
    "crun",
    "firejail",
    "lxc",
    "nsjail",
    "podman",
    "runc",
    "runsc",
    "systemd-nspawn",
];

#[test]
fn instances_of_two_at_once_do_not_meet_in_a_peer() {
    if !can_be_apart() {
        return;
    }
    for target in PEERS.into_iter().filter(|target| can_run(target)) {
        let place = Place::new();
        let start = ["exec", "--target", target, "--", WORKLOAD, "idle"];
        let idle = |world: World| {
            let idle = world.isobench(&place, &[&start[..], &["--touch", "1MiB"]].concat());
            let mut running = idle.starts_with_input();
            let mut line = String::new();
            let stdout = running.child.stdout.as_mut().unwrap();
            BufReader::new(stdout).read_line(&mut line).unwrap();
            (running, line)
        };
        // Firejail takes a PID namespace of its own for a sandbox.
        let third = match target {
            "firejail" => World::OfTheTest,
            _ => World::Apart,
        };
        let started = [World::OfTheTest, World::OfTheTest, third].map(idle);
        let sessions = sessions_in(&place);
        assert_eq!(sessions.len(), started.len());
        for (running, line) in started {
            let finished = running.ends();
            assert_eq!(line, "isobench/1 ready\n", "{target}: {finished:?}");
            finished.has_code(0);
        }
        for session in sessions {
            let left = traces::cgroups_named(&session);
            assert_eq!(left, Vec::<PathBuf>::new(), "{target}");
        }
    }
}

/// What the names of each session begin with whose files are in the temporary directory of `place`.
/// A process id doesn't tell sessions in different PID namespaces apart.
fn sessions_in(place: &Place) -> Vec<String> {
    let scratches = traces::temporary_files(place).into_iter();
    let names = scratches.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    let sessions = names.map(|name| name.trim_end_matches(char::is_numeric).to_owned());
    sessions.collect()
}

#[test]
fn podman_leaves_the_locks_of_the_host_s_podman_alone() {
    if !can_run("podman") {
        return;
    }
    let locks = || fs::metadata("/dev/shm/libpod_lock").map(|found| found.ino());
    let before = locks().ok();
    let exec = Isobench::exec("podman").program(&[WORKLOAD, "ready"]);
    exec.succeeds();
    assert_eq!(locks().ok(), before);
}
