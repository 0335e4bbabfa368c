//! The container's launcher, end to end: real namespaces, real cgroups, and this test program
//! inside.
//!
//! The test program is static, so it is also the program that runs in the containers: see
//! [`inside`].

#![expect(
    unsafe_code,
    reason = "asks the kernel for what the container forbids, by raw system calls"
)]

mod calls;
mod crowd;
mod inside;
mod isolation;
mod launcher;
mod limits;
mod mechanisms;
mod namespaces;
mod network;
mod proc_files;
#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod ways_out;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use isobench_testing::{Need, lacks, skip};
use support::ended::Ended;
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-container");

/// A directory with a layer, a scratch directory and a copy of the launcher. Any user may reach
/// them.
struct Fixture {
    directory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixture = Self { directory };
        fs::set_permissions(fixture.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for (name, mode) in [("layer", 0o755), ("scratch", 0o777)] {
            fs::create_dir(fixture.path(name)).unwrap();
            fs::set_permissions(fixture.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::hard_link(LAUNCHER, fixture.path("launcher"))
            .or_else(|_| fs::copy(LAUNCHER, fixture.path("launcher")).map(drop))
            .unwrap();
        let program = std::env::current_exe().unwrap();
        fs::hard_link(&program, fixture.path("layer/program"))
            .or_else(|_| fs::copy(&program, fixture.path("layer/program")).map(drop))
            .unwrap();
        fixture
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The names in `directory`, sorted.
    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().flatten();
        let mut names: Vec<_> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// The launcher with the layer and `flags`. In the container, [`inside`] does `task`.
    fn command(&self, flags: &[&str], task: &str) -> Command {
        let mut command = self.launcher(flags);
        command.arg("--env").arg(format!("{}={task}", inside::TASK));
        command.args([
            "--",
            "/program",
            "--exact",
            "inside::inside",
            "--ignored",
            "--nocapture",
        ]);
        command
    }

    /// The launcher with the layer and `flags`. The caller adds the program.
    fn launcher(&self, flags: &[&str]) -> Command {
        let mut command = Command::new(self.path("launcher"));
        command
            .arg("--layer")
            .arg(self.path("layer"))
            .args(flags)
            .stdin(Stdio::null());
        command
    }

    /// Does `task` in a container, whatever the exit code is.
    fn ends(&self, flags: &[&str], task: &str) -> Ended {
        Ended::of(&mut self.command(flags, task))
    }

    /// Does `task` in a container and returns what it reported.
    #[track_caller]
    fn report(&self, flags: &[&str], task: &str) -> Vec<String> {
        let ended = self.ends(flags, task);
        ended.has_code(0);
        lines(&ended)
    }
}

/// The lines that the program inside reported.
fn lines(ended: &Ended) -> Vec<String> {
    let lines = ended.stdout.lines();
    lines
        .filter_map(|line| line.split_once(inside::MARK))
        .map(|(_, line)| line.to_owned())
        .collect()
}

/// A fixture. `None` if containers can't be made here.
fn fixture() -> Option<Fixture> {
    let fixture = Fixture::new();
    let trial = fixture.ends(&[], "nothing");
    if trial.code == Some(0) {
        return Some(fixture);
    }
    skip(Need::UserNamespaces, trial.stderr);
    None
}

/// Makes `command` run as an ordinary user. False if the test isn't root, who alone can do that.
fn as_nobody(command: &mut Command) -> bool {
    const NOBODY: u32 = 65534;
    if lacks(Need::Root) {
        return false;
    }
    // The standard library drops root's other groups, too.
    command.uid(NOBODY).gid(NOBODY);
    true
}

fn text(path: &Path) -> &str {
    OsStr::to_str(path.as_os_str()).unwrap()
}
