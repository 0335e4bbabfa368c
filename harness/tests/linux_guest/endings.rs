//! How guests end that don't exit: each end is told apart.

use std::io;
use std::process::{Command, Stdio};

use crate::support::ended::Ended;
use crate::{WORKLOAD, kernel, launcher, run, shell};

#[test]
fn a_panic_and_a_hang_are_told_apart() {
    let Some(ended) = run(&["--append", "rdinit=/nonexistent"], &["ready"]) else {
        return;
    };
    ended.has_code(125).says("the guest's kernel panicked: ");

    let mut command = launcher(&kernel().unwrap(), &["--time-limit", "20"]);
    let mut child = command
        .args(["--", WORKLOAD, "idle", "--touch", "1MiB"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let held = child.stdin.take();
    let ended = Ended::from(child.wait_with_output().unwrap());
    drop(held);
    let words = "time limit of 20 s: the program was still running";
    ended.has_code(125).says(words);
}

#[test]
fn a_reader_that_goes_away_ends_the_guest() {
    let Some(kernel) = kernel() else { return };
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let status = launcher(&kernel, &[])
        .args(["--", WORKLOAD, "ready"])
        .stdout(writer)
        .status();
    assert_eq!(status.unwrap().code(), Some(141));
}

#[test]
fn a_guest_that_halts_or_switches_itself_off_ends_and_says_so() {
    for (program, words) in [
        ("halt -f", "halted or switched off its machine"),
        (
            "echo said; poweroff -f",
            "halted or switched off its machine",
        ),
        ("reboot -f", "reset its machine without an exit code"),
    ] {
        for processors in ["1", "4"] {
            let Some(mut command) = shell(&["--vcpus", processors], program) else {
                return;
            };
            let ended = Ended::of(&mut command);
            ended.has_code(125).says(words).says_one_line();
            let said = if program.starts_with("echo") {
                "said\n"
            } else {
                ""
            };
            assert_eq!(ended.stdout, said);
        }
    }
}

#[test]
fn the_least_memory_that_a_refusal_names_will_do() {
    let Some(kernel) = kernel() else { return };
    let ready = |memory: &str| -> Ended {
        let mut command: Command = launcher(&kernel, &["--memory", memory]);
        Ended::of(command.args(["--", WORKLOAD, "ready"]))
    };
    let refused = ready("24MiB");
    refused.is_refused_by(
        "isobench-vmm",
        "memory of 24.0 MiB is too small: the kernel takes",
    );
    let (_, least) = refused.stderr.trim_end().rsplit_once(' ').unwrap();
    let ended = ready(least);
    assert_eq!(ended.stdout, "isobench/1 ready\n", "{least}: {ended:?}");
}
