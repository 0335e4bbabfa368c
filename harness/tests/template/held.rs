//! Launchers that wait with the program's start.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use isobench_testing::{Need, lacks, skip};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::support::ended::Ended;
use crate::{CONTAINER, VMM, WORKLOAD};

/// Starts a launcher that holds, and expects that its program waits for the word.
fn program_waits(launcher: &mut Command, program: &[&str]) {
    let (mut near, far) = UnixStream::pair().unwrap();
    fcntl(&far, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let number = far.as_raw_fd().to_string();
    launcher.args(["--hold", "--marks-fd", &number, "--"]);
    let mut process = launcher
        .args(program)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(far);
    let mut marks = BufReader::new(near.try_clone().unwrap()).lines();
    assert!(marks.any(|line| line.unwrap().starts_with("held ")));
    // Whoever does not wait has written long before.
    std::thread::sleep(Duration::from_millis(50));
    let mut said = process.stdout.take().unwrap();
    fcntl(&said, FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    let early = said.read(&mut [0; 64]).unwrap_err();
    assert_eq!(early.kind(), std::io::ErrorKind::WouldBlock);
    near.write_all(b"\n").unwrap();
    fcntl(&said, FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    let mut line = String::new();
    said.read_to_string(&mut line).unwrap();
    assert_eq!(line, "isobench/1 ready\n");
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_guest_without_an_os_waits_for_the_word() {
    if !lacks(Need::Kvm) {
        program_waits(Command::new(VMM).arg("run"), &[WORKLOAD, "ready"]);
    }
}

#[test]
fn a_container_waits_for_the_word() {
    let layer = tempfile::tempdir().unwrap();
    fs::copy(WORKLOAD, layer.path().join("workload")).unwrap();
    let container = || {
        let mut launcher = Command::new(CONTAINER);
        launcher.arg("--layer").arg(layer.path());
        launcher
    };
    let trial = Ended::of(container().args(["--", "/workload", "ready"]));
    if trial.code != Some(0) {
        skip(Need::UserNamespaces, trial.stderr);
        return;
    }
    program_waits(&mut container(), &["/workload", "ready"]);
}

#[test]
fn holding_without_a_way_back_is_refused() {
    let layer = Path::new("/");
    for launcher in [
        Command::new(VMM).arg("run"),
        Command::new(CONTAINER).arg("--layer").arg(layer),
    ] {
        let ended = Ended::of(launcher.args(["--hold", "--", WORKLOAD, "ready"]));
        ended
            .has_code(2)
            .says("--hold needs a socket as --marks-fd");
    }
}
