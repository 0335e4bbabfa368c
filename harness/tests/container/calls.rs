//! The system-call filter kills a program, refuses a call with `EPERM`, or says that there is none.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use isobench_testing::{Need, skip};
use nix::libc;

use super::inside::{self, calls};
use super::support::ended::Ended;
use super::{fixture, lines};

#[test]
fn dangerous_calls_are_refused_and_unknown_ones_unknown() {
    let Some(fixture) = fixture() else { return };
    let refused = calls::REFUSED.iter().map(|(name, _)| (name, libc::EPERM));
    let unknown = calls::UNKNOWN.iter().map(|(name, _)| (name, libc::ENOSYS));
    let expected: Vec<_> = refused
        .chain(unknown)
        .map(|(name, error)| format!("{name} {error}"))
        .collect();
    assert_eq!(fixture.report(&[], "calls"), expected);
}

#[test]
fn arguments_that_make_a_call_dangerous_are_refused() {
    let Some(fixture) = fixture() else { return };
    let tried = fixture.report(&[], "call-arguments");
    assert_eq!(tried.len(), 10);
    for call in tried {
        assert!(call.ends_with(&format!(" {}", libc::EPERM)), "{call}");
    }
    let harmless = ["inet 0", "personality 0"];
    assert_eq!(fixture.report(&[], "harmless-calls"), harmless);
}

#[test]
fn it_is_the_filter_that_refuses() {
    let Some(fixture) = fixture() else { return };
    let everything_else = [
        "--mechanisms",
        "user,mount,uts,ipc,pid,cgroup-namespace,net,overlay,proc-dev,pivot,capabilities",
    ];
    let tried = fixture.report(&everything_else, "calls");
    // The kernel has clone3, and refuses these arguments.
    assert!(
        tried.contains(&format!("clone3 {}", libc::EINVAL)),
        "{tried:?}"
    );
    // The kernel gives many calls another error than EPERM.
    let others = tried.iter().filter(|call| !call.ends_with(" 1")).count();
    assert!(others > calls::UNKNOWN.len(), "{tried:?}");
}

#[test]
fn a_call_of_another_architecture_is_the_end() {
    let Some(fixture) = fixture() else { return };
    let mut free = Command::new(std::env::current_exe().unwrap());
    free.args(["--exact", "inside::inside", "--ignored", "--nocapture"]);
    let output = free.env(inside::TASK, "32-bit").output().unwrap();
    if output.status.signal() == Some(libc::SIGSEGV) {
        let why = "the gate for system calls of 32-bit programs is shut";
        skip(Need::SystemCallsOf32Bits, why);
        return;
    }
    let free = Ended::from(output);
    assert_eq!(lines(&free), ["came back with true"], "{free:?}");
    let ended = fixture.ends(&[], "32-bit");
    assert_eq!(lines(&ended), [""; 0]);
    ended.has_code(128 + libc::SIGSYS);
}
