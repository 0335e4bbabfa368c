//! The launcher as a program: its exit codes, its messages, its signals, its marks.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use isobench::instance::marks::parse_marks;
use isobench_container::{Config, Container, NoObserver, Phase, RootKind, RootPolicy, Spec};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::support::ended::Ended;
use super::{Fixture, LAUNCHER, fixture};

/// Starts a container and waits until its program runs.
pub fn started(command: &mut Command) -> (Child, BufReader<ChildStdout>) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("waiting") {
        line.clear();
        assert_ne!(
            reader.read_line(&mut line).unwrap(),
            0,
            "the program ended before it waited"
        );
    }
    (child, reader)
}

pub fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

#[test]
fn the_programs_exit_code_is_the_launchers() {
    let Some(fixture) = fixture() else { return };
    for code in [0, 1, 42, 255] {
        let ended = fixture.ends(&[], &format!("exit {code}"));
        ended.has_code(code);
        assert_eq!(ended.stderr, "");
    }
}

#[test]
fn a_signals_end_is_128_more_than_its_number() {
    let Some(fixture) = fixture() else { return };
    for signal in [9, 11, 15, 34] {
        let ended = fixture.ends(&[], &format!("die {signal}"));
        ended.has_code(128 + signal);
    }
}

/// Expects that a program at `path` can't run, and that the launcher's only line has these words.
#[track_caller]
fn cannot_run(fixture: &Fixture, path: &str, words: &str) {
    let ended = Ended::of(fixture.launcher(&[]).args(["--", path]));
    ended.has_code(125).says_one_line().says(words);
    let beginning = "isobench-container: cannot run ";
    assert!(ended.stderr.starts_with(beginning), "{ended:?}");
}

#[test]
fn a_program_that_cannot_run_is_explained() {
    let Some(fixture) = fixture() else { return };
    let file = |name: &str, content: &[u8], mode| {
        let path = fixture.path("layer").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    file("plain", b"text", 0o644);
    file("text", b"text", 0o755);
    file("script", b"#!/no/interpreter\n", 0o755);
    for (path, words) in [
        ("/missing", "no layer has the program"),
        ("/plain", "not executable"),
        ("/text", "a first line such as #!/bin/sh"),
        ("/script", "what the first line of a script names"),
        ("/dev", "not executable"),
    ] {
        cannot_run(&fixture, path, words);
    }
}

#[test]
fn a_bad_command_line_is_one_line_and_code_2() {
    let wrong: [&[&str]; 17] = [
        &[],
        &["--layer", "/"],
        &["--layer", "/", "--"],
        &["--", "/program"],
        &["--layer", "/no/such", "--", "/program"],
        &["--layer", "/", "--", "program"],
        &["--layer", "/", "--no-such-flag", "--", "/program"],
        &["--layer", "/", "--bind", "/", "--", "/program"],
        &["--layer", "/", "--bind", "/no/such:/x", "--", "/program"],
        &["--layer", "/", "--memory", "lots", "--", "/program"],
        &["--layer", "/", "--memory", "1MiB", "--", "/program"],
        &["--layer", "/", "--pids", "0", "--", "/program"],
        &["--layer", "/", "--cpus", "0", "--", "/program"],
        &["--layer", "/", "--io-read-bps", "/", "--", "/program"],
        &["--layer", "/", "--usage", "--", "/program"],
        &["--layer", "/", "--env", "A", "--", "/program"],
        &["--layer", "/", "--marks-fd", "99", "--", "/program"],
    ];
    for arguments in wrong {
        let ended = Ended::of(Command::new(LAUNCHER).args(arguments));
        ended.is_refused_by("isobench-container", "");
    }
}

#[test]
fn a_cgroup_that_cannot_be_made_is_named() {
    let Some(fixture) = fixture() else { return };
    let path = fixture.path("no-cgroup");
    let ended = fixture.ends(&["--cgroup", path.to_str().unwrap()], "nothing");
    ended.has_code(125).says("is not in a cgroup file system");
}

#[test]
fn signals_reach_the_program() {
    let Some(fixture) = fixture() else { return };
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1] {
        let (mut child, _reader) = started(&mut fixture.command(&[], "wait"));
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal as i32));
    }
}

#[test]
fn terminals_and_cgroups_are_mounted_only_where_they_are_asked_for() {
    let Some(fixture) = fixture() else { return };
    let has = |flags: &[&str], name: &str| {
        let names = fixture.report(flags, "list /dev");
        names.iter().any(|known| known == name)
    };
    for name in ["pts", "ptmx"] {
        assert!(!has(&[], name), "{name}");
        assert!(has(&["--terminals"], name), "{name}");
        assert!(has(&["--terminals", "--root", "binds"], name), "{name}");
    }
    let names = fixture.report(&[], "list /");
    assert!(!names.iter().any(|name| name == "sys"), "{names:?}");
    let refused = fixture.ends(&["--terminals", "--mechanisms", "none"], "nothing");
    refused.has_code(2);
}

#[test]
fn a_killed_launcher_takes_its_container_along() {
    let Some(fixture) = fixture() else { return };
    let (mut child, mut reader) = started(&mut fixture.command(&[], "wait"));
    send(&child, Signal::SIGKILL);
    child.wait().unwrap();
    // PID 1 and the program hold the other end of this pipe, which ends when both have died.
    let mut rest = String::new();
    reader.read_to_string(&mut rest).unwrap();
    assert!(!rest.contains("panicked"), "{rest}");
}

#[test]
fn a_network_is_a_phase_of_its_own() {
    let Some(fixture) = fixture() else { return };
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let number = writer.as_raw_fd().to_string();
    let flags = ["--marks-fd", &number, "--net", "loopback"];
    fixture.ends(&flags, "nothing").has_code(0);
    drop(writer);
    let text = std::io::read_to_string(fs::File::from(reader)).unwrap();
    let (marks, _) = parse_marks(&text).unwrap();
    let names: Vec<_> = marks.iter().map(|mark| mark.phase.as_str()).collect();
    assert_eq!(names[3..6], ["pivot", "network", "seccomp"]);
}

#[test]
fn marks_name_the_phases_in_order() {
    let Some(fixture) = fixture() else { return };
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let number = writer.as_raw_fd().to_string();
    let open = fixture.report(&["--marks-fd", &number], "list /proc/self/fd");
    drop(writer);
    let text = std::io::read_to_string(fs::File::from(reader)).unwrap();
    let (marks, _) = parse_marks(&text).unwrap();
    let expected: Vec<_> = Phase::ALL
        .iter()
        .filter(|phase| ![Phase::Cgroup, Phase::Network].contains(phase))
        .map(|phase| phase.name())
        .collect();
    let names: Vec<_> = marks.iter().map(|mark| mark.phase.as_str()).collect();
    assert_eq!(names, expected);
    assert!(marks.is_sorted_by_key(|mark| mark.at));
    // The fourth is the directory that is listed. The marks' pipe isn't there.
    assert_eq!(open, ["0", "1", "2", "3"]);
}

#[test]
fn the_library_says_which_root_it_made() {
    let Some(fixture) = fixture() else { return };
    for (policy, kind) in [
        (RootPolicy::Overlay, RootKind::Overlay),
        (RootPolicy::Binds, RootKind::Binds),
    ] {
        let spec = Spec {
            layers: vec![fixture.path("layer")],
            root: policy,
            program: "/program".into(),
            arguments: vec![
                "--list".into(),
                "--format=terse".into(),
                "no-such-test".into(),
            ],
            ..Spec::default()
        };
        let running = Container::new(Config::new(spec).unwrap())
            .launch(&NoObserver)
            .unwrap();
        assert_eq!(running.root(), kind);
        assert_eq!(running.wait().unwrap().end().exit_code(), 0);
    }
}

#[test]
fn a_dropped_container_is_gone() {
    let Some(fixture) = fixture() else { return };
    let spec = Spec {
        layers: vec![fixture.path("layer")],
        program: "/program".into(),
        environment: vec![format!("{}=wait", super::inside::TASK).into()],
        arguments: ["--exact", "inside::inside", "--ignored"]
            .map(Into::into)
            .to_vec(),
        ..Spec::default()
    };
    let running = Container::new(Config::new(spec).unwrap())
        .launch(&NoObserver)
        .unwrap();
    let pid = running.pid();
    drop(running);
    assert_eq!(kill(pid, None), Err(nix::errno::Errno::ESRCH));
}
