use std::io::Read as _;
use std::path::Path;

use isobench_testing::{Need, lacks};
use nix::mount::MsFlags;

use super::child::ExecStrings;
use super::*;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{HostUser, RootDirectory};

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").unwrap().into()
}

fn run(command: &CommandLine) -> (String, i32) {
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let descriptors = Descriptors {
        stdin: null(),
        stdout: writer,
        stderr: null(),
        marks: None,
    };
    let child = spawn(command, descriptors, ProcessGroup::Own).unwrap();
    let mut text = String::new();
    std::fs::File::from(reader)
        .read_to_string(&mut text)
        .unwrap();
    match nix::sys::wait::waitpid(child.pid, None).unwrap() {
        nix::sys::wait::WaitStatus::Exited(_, code) => (text, code),
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_environment_and_exit_code_pass_through() {
    let mut command = CommandLine::new("/bin/sh").args(["-c", "echo $1 $KEY; exit 7", "sh", "one"]);
    command.environment.push("KEY=value".into());
    assert_eq!(run(&command), ("one value\n".to_owned(), 7));
}

#[test]
fn the_child_has_the_root_the_directory_and_the_user_that_the_command_names() {
    if lacks(Need::Root) {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("inside")).unwrap();
    // The host's programs are there, and nothing else.
    let mounts = MountNamespace::new(&[]).unwrap();
    let bound = mounts.run_inside(|| {
        for name in ["usr", "bin", "lib", "lib64", "proc"] {
            let place = root.path().join(name);
            std::fs::create_dir(&place)?;
            let source = Some(Path::new("/").join(name));
            let none = None::<&str>;
            nix::mount::mount(source.as_deref(), &place, none, MsFlags::MS_BIND, none)?;
        }
        Ok(())
    });
    bound.unwrap();
    let script = "pwd; echo /*; grep -E '^(Uid|Gid|Groups|CapEff)' /proc/self/status";
    let mut command = CommandLine::new("/bin/sh").args(["-c", script]);
    command.mounts = Some(mounts);
    command.root = Some(RootDirectory {
        directory: root.path().to_owned(),
        working_directory: "/inside".into(),
    });
    command.user = Some(HostUser {
        uid: 100_001,
        gid: 100_002,
        groups: vec![100_003, 100_004],
    });
    command.environment.push("PATH=/usr/bin:/bin".into());
    let (text, code) = run(&command);
    assert_eq!(code, 0);
    let lines: Vec<_> = text.lines().map(|line| line.replace('\t', " ")).collect();
    let expected = [
        "/inside",
        "/bin /inside /lib /lib64 /proc /usr",
        "Uid: 100001 100001 100001 100001",
        "Gid: 100002 100002 100002 100002",
        "Groups: 100003 100004 ",
        "CapEff: 0000000000000000",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_child_of_another_user_still_dies_with_the_harness() {
    if lacks(Need::Root) {
        return;
    }
    // A harness of its own: a thread, which is what the kernel takes for the parent.
    let pid = std::thread::spawn(|| {
        let descriptors = Descriptors {
            stdin: null(),
            stdout: null(),
            stderr: null(),
            marks: None,
        };
        let mut command = CommandLine::new("/bin/sleep").args(["60"]);
        command.user = Some(HostUser {
            uid: 100_001,
            gid: 100_001,
            groups: Vec::new(),
        });
        spawn(&command, descriptors, ProcessGroup::Own).unwrap().pid
    });
    let pid = pid.join().unwrap();
    let ended = nix::sys::wait::waitpid(pid, None).unwrap();
    let killed = nix::sys::wait::WaitStatus::Signaled(pid, Signal::SIGKILL, false);
    assert_eq!(ended, killed);
}

#[test]
fn a_root_that_is_missing_is_named_in_the_error() {
    if lacks(Need::Root) {
        return;
    }
    let descriptors = Descriptors {
        stdin: null(),
        stdout: null(),
        stderr: null(),
        marks: None,
    };
    let mut command = CommandLine::new("/bin/true");
    command.root = Some(RootDirectory {
        directory: "/no/such/root".into(),
        working_directory: "/inside".into(),
    });
    let error = spawn(&command, descriptors, ProcessGroup::Own).unwrap_err();
    let text = "cannot go to /inside in the root directory /no/such/root";
    assert_eq!(error.to_string(), text);
}

#[test]
fn the_child_has_no_descriptor_of_the_harness() {
    let _open = std::fs::File::open("/dev/null").unwrap();
    let (text, _) = run(&CommandLine::new("/bin/sh").args(["-c", "echo /proc/$$/fd/*"]));
    let numbers: Vec<_> = text
        .split_whitespace()
        .filter_map(|p| p.rsplit('/').next())
        .collect();
    // The shell itself opens 3, to list the directory.
    assert!(
        numbers
            .iter()
            .all(|number| ["0", "1", "2", "3"].contains(number)),
        "{text}"
    );
}

#[test]
fn a_missing_program_is_an_error_and_no_process() {
    let descriptors = Descriptors {
        stdin: null(),
        stdout: null(),
        stderr: null(),
        marks: None,
    };
    let error = spawn(
        &CommandLine::new("/no/such/program"),
        descriptors,
        ProcessGroup::Own,
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            SpawnError::Exec {
                source: Errno::ENOENT,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn the_error_for_a_nul_byte_quotes_the_argument() {
    let error = ExecStrings::new(&CommandLine::new("/bin/true").args(["a\0b"]))
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "\"a\\0b\" holds a NUL byte, which can't be passed to a program"
    );
}
