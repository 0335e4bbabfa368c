//! The guest without an OS beside Linux: programs in C that run as bare processes and in the guest, and
//! must print the same and end alike.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
mod support;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use isobench_testing::{Need, compile_c, lacks};
use support::ended::Ended;
use tempfile::TempDir;

const LAUNCHER: &str = env!("CARGO_BIN_EXE_isobench-vmm");

/// A compiled program, in a directory of its own.
struct Program {
    path: PathBuf,
    _directory: TempDir,
}

impl Program {
    /// Compiles `source`. The result is `None` if there is no compiler here, or no KVM.
    fn compile(source: &str) -> Option<Self> {
        if lacks(Need::Kvm) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("program");
        compile_c(&path, source, &["-static", "-pthread"]).then_some(Self {
            path,
            _directory: directory,
        })
    }

    /// Runs the program as a process of a shell, whose exit code tells of a signal, too.
    fn as_process(&self, arguments: &[&str]) -> Ended {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#""$0" "$@"; exit $?"#]).arg(&self.path);
        Ended::of(shell.args(arguments).stdin(Stdio::null()))
    }

    fn in_guest(&self, arguments: &[&str]) -> Ended {
        let mut launcher = Command::new(LAUNCHER);
        launcher.args(["run", "--"]).arg(&self.path);
        Ended::of(launcher.args(arguments).stdin(Stdio::null()))
    }

    /// Runs the program with these arguments in both places.
    #[track_caller]
    fn runs_alike(&self, arguments: &[&str]) {
        let (process, guest) = (self.as_process(arguments), self.in_guest(arguments));
        assert_eq!(guest.stdout, process.stdout, "{arguments:?}: {guest:?}");
        assert_eq!(guest.code, process.code, "{arguments:?}: {guest:?}");
        // 2 means that the program does not know the arguments.
        assert_ne!(process.code, Some(2), "{arguments:?}");
    }
}

#[test]
fn random_calls_on_pipes_counters_timers_and_watch_lists_give_what_linux_gives() {
    let Some(program) = Program::compile(include_str!("bare_programs/model.c")) else {
        return;
    };
    for seed in 0..40 {
        program.runs_alike(&[&seed.to_string()]);
    }
}

#[test]
fn threads_run_wait_and_end_as_on_linux() {
    let Some(program) = Program::compile(include_str!("bare_programs/threads.c")) else {
        return;
    };
    for what in [
        &["queue", "100"][..],
        &["many"],
        &["spin"],
        &["registers"],
        &["own"],
        &["pipe"],
        &["epoll"],
        &["robust"],
        &["first-ends"],
        &["exit-from-another"],
        &["signals"],
        &["timeout"],
    ] {
        program.runs_alike(what);
    }
}

#[test]
fn a_program_whose_threads_all_wait_for_each_other_is_ended_with_a_reason() {
    let Some(program) = Program::compile(include_str!("bare_programs/threads.c")) else {
        return;
    };
    let guest = program.in_guest(&["deadlock"]);
    guest
        .has_code(125)
        .says_one_line()
        .says("a wake-up that nobody can give");
}

#[test]
fn handlers_run_as_on_linux() {
    let Some(program) = Program::compile(include_str!("bare_programs/handlers.c")) else {
        return;
    };
    for what in [
        "faults",
        "mend",
        "context",
        "overflow",
        "stack",
        "masks",
        "suspend",
        "nest",
        "queue",
        "restart",
        "spin",
        "registers",
        "once",
        "no-stack",
    ] {
        program.runs_alike(&[what]);
    }
}
