//! The program `isobench-workload` as a target sees it: its lines, its exit codes, its errors.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use isobench_workloads::protocol::Message;
use support::ended::Ended;

fn workload(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobench-workload"));
    command.args(arguments.split_whitespace());
    command
}

fn run(arguments: &str) -> Ended {
    Ended::of(&mut workload(arguments))
}

/// What a successful run says.
#[track_caller]
fn messages(arguments: &str) -> Vec<Message> {
    let ended = run(arguments);
    ended.has_code(0);
    assert_eq!(ended.stderr, "", "{arguments}");
    assert!(ended.stdout.ends_with('\n'), "{ended:?}");
    let lines = ended.stdout.lines();
    lines.map(|line| line.parse().unwrap()).collect()
}

/// A run that ends with `code` and one line on standard error.
#[track_caller]
fn failure(arguments: &str, code: i32) -> Ended {
    let ended = run(arguments);
    ended.has_code(code).says_one_line();
    assert!(ended.stderr.starts_with("isobench-workload: "), "{ended:?}");
    assert!(ended.stderr.ends_with('\n'), "{ended:?}");
    ended
}

/// A file of `length` bytes on the file system of the build. It has `O_DIRECT`, which /tmp may
/// lack.
fn file_of(length: usize) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    file.write_all(&vec![7; length]).unwrap();
    file
}

fn disk(operation: &str, path: &Path, rest: &str) -> String {
    let path = path.display();
    format!("disk --op {operation} --block 4KiB --bytes 256KiB --path {path} {rest}")
}

#[test]
fn ready_says_one_line() {
    assert_eq!(messages("ready"), [Message::Ready]);
    assert_eq!(messages("ready --libc"), [Message::Ready]);
}

#[test]
fn ready_needs_no_environment_and_no_open_input() {
    let mut command = workload("ready");
    let ended = Ended::of(command.env_clear().stdin(Stdio::null()));
    assert_eq!(ended.stdout, "isobench/1 ready\n");
}

#[test]
fn loops_say_what_they_did() {
    for arguments in [
        "cpu --iterations 500",
        "syscall --iterations 500",
        "page-fault --bytes 2000KiB",
    ] {
        let said = messages(arguments);
        let [
            Message::Begin,
            Message::End {
                operations: 500,
                bytes,
            },
        ] = said.as_slice()
        else {
            panic!("{arguments}: {said:?}");
        };
        assert_eq!(bytes.as_u64(), 0);
    }
}

#[test]
fn work_that_waits_begins_with_a_line() {
    let mut child = workload("--wait syscall --iterations 5")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line.parse(), Ok(Message::Begin));
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"not yet").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert!(child.try_wait().unwrap().is_none());
    input.write_all(b"\n").unwrap();
    assert!(child.wait().unwrap().success());
    line.clear();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "isobench/1 end operations=5 bytes=0\n");
}

#[test]
fn idle_holds_its_memory_until_its_input_closes() {
    let mut child = workload("idle --touch 16MiB")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    assert_eq!(line.parse(), Ok(Message::Ready));
    assert!(resident_kib(child.id()) >= 16 * 1024);
    assert!(child.try_wait().unwrap().is_none());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn every_disk_operation_covers_its_range() {
    for direct in ["", "--direct"] {
        for operation in ["seq-write", "seq-read", "rand-read", "rand-write", "fsync"] {
            let file = file_of(256 * 1024);
            let said = messages(&disk(operation, file.path(), direct));
            let [
                Message::Begin,
                Message::End {
                    operations: 64,
                    bytes,
                },
                latencies @ ..,
            ] = said.as_slice()
            else {
                panic!("{operation} {direct}: {said:?}");
            };
            assert_eq!(bytes.as_u64(), 256 * 1024);
            match latencies {
                [] => assert!(operation.starts_with("seq-")),
                [Message::Latencies(latencies)] => assert_eq!(latencies.count(), 64),
                more => panic!("{operation}: {more:?}"),
            }
        }
    }
}

#[test]
fn a_sequential_write_replaces_every_page_and_grows_nothing() {
    let file = file_of(300 * 1024);
    messages(&disk("seq-write", file.path(), ""));
    let after = std::fs::read(file.path()).unwrap();
    assert_eq!(after.len(), 300 * 1024);
    let (written, beyond) = after.split_at(256 * 1024);
    assert!(written.chunks(4096).all(|page| page != [7; 4096]));
    assert_eq!(beyond, vec![7; beyond.len()]);
}

#[test]
fn reading_leaves_the_file_alone() {
    let file = file_of(256 * 1024);
    messages(&disk("rand-read", file.path(), ""));
    messages(&disk("seq-read", file.path(), ""));
    let after = std::fs::read(file.path()).unwrap();
    assert_eq!(after, vec![7; 256 * 1024]);
}

#[test]
fn a_file_too_short_is_refused_and_not_grown() {
    let file = file_of(4096);
    let ended = failure(&disk("seq-write", file.path(), ""), 1);
    ended.says("holds 4096 bytes, fewer than --bytes 262144");
    assert_eq!(file.path().metadata().unwrap().len(), 4096);
}

#[test]
fn a_missing_file_is_named_and_not_created() {
    let missing = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing");
    let ended = failure(&disk("seq-write", &missing, ""), 1);
    ended.says("missing: No such file");
    assert!(!missing.exists());
}

#[test]
fn a_device_without_a_length_is_refused() {
    let ended = failure(&disk("fsync", Path::new("/dev/full"), ""), 1);
    ended.says("/dev/full holds 0 bytes");
}

#[test]
fn bad_usage_is_told_from_bad_luck() {
    for arguments in [
        "",
        "frobnicate",
        "idle --touch much",
        "disk --op seq-read",
        "ready --fast",
    ] {
        failure(arguments, 2);
    }
    let help = run("--help");
    help.has_code(0);
    let usage = "usage: isobench-workload [--wait] WORKLOAD";
    assert!(help.stdout.starts_with(usage), "{help:?}");
}

#[test]
fn memory_that_is_not_to_be_had_is_named() {
    let ended = failure("page-fault --bytes 8EiB", 1);
    ended.says("no memory for 8.0 EiB");
}

#[test]
fn only_the_very_word_takes_the_short_way() {
    for argument in ["r", "read", "readx", "ready!", "ready\u{1}", ""] {
        let mut command = workload("");
        Ended::of(command.arg(argument).env_clear()).has_code(2);
    }
}

#[test]
fn a_reader_that_is_gone_ends_the_workload() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = workload("ready").stdout(writer).status().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGPIPE));
}

#[test]
fn an_output_that_takes_nothing_is_named() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let ended = Ended::of(workload("ready").stdout(full));
    ended.has_code(1);
    let beginning = "isobench-workload: cannot write to standard output: No space";
    assert!(ended.stderr.starts_with(beginning), "{ended:?}");
}
