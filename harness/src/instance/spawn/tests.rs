use std::io::Read as _;

use super::child::ExecStrings;
use super::*;

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
