//! The program's standard streams, to the byte.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};
use std::thread;

use tempfile::TempDir;

use crate::shell;
use crate::support::ended::Ended;

/// Starts the guest, and writes `sent` to its standard input until nobody reads any more.
fn start_with_input(mut command: Command, sent: Vec<u8>) -> (Child, thread::JoinHandle<()>) {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || drop(input.write_all(&sent)));
    (child, writer)
}

/// What a guest with this input writes.
fn answer(command: Command, sent: &[u8]) -> Vec<u8> {
    let (mut child, writer) = start_with_input(command, sent.to_vec());
    let mut received = Vec::new();
    let mut output = child.stdout.take().unwrap();
    output.read_to_end(&mut received).unwrap();
    assert!(child.wait().unwrap().success());
    writer.join().unwrap();
    received
}

/// Bytes without a pattern that a lost or doubled piece could hide in.
fn noise(length: u32) -> Vec<u8> {
    (0..length)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

#[test]
fn megabytes_come_back_as_they_were_sent() {
    let sent = noise(4_000_003);
    for processors in ["1", "2", "4"] {
        let Some(command) = shell(&["--vcpus", processors], "cat") else {
            return;
        };
        let received = answer(command, &sent);
        let counts = (received.len(), sent.len());
        assert!(received == sent, "{processors} vCPUs: {counts:?}");
    }
}

#[test]
fn a_slow_reader_gets_every_byte() {
    let sent = noise(300_000);
    let script = "sleep 1; head -c 70000; sleep 1; exec cat";
    for processors in ["1", "4"] {
        let Some(command) = shell(&["--vcpus", processors], script) else {
            return;
        };
        // What `head` has read and not written is lost to `cat`, as in any pipe.
        let received = answer(command, &sent);
        assert_eq!(received[..70_000], sent[..70_000]);
        assert!(received.len() > sent.len() - 10_000, "{}", received.len());
        assert!(sent.ends_with(&received[70_000..]), "{}", received.len());
    }
}

#[test]
fn a_program_may_leave_its_input_unread() {
    for processors in ["1", "2"] {
        let Some(command) = shell(&["--vcpus", processors], "head -c 3") else {
            return;
        };
        let received = answer(command, &noise(1 << 20));
        assert_eq!(received, noise(3));
    }
}

#[test]
fn an_input_ends_at_once_or_is_none_at_all() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    for (content, count) in [("", "0"), ("abc\n", "4")] {
        fs::write(&file, content).unwrap();
        let Some(mut command) = shell(&[], "wc -c") else {
            return;
        };
        let ended = Ended::of(command.stdin(File::open(&file).unwrap()));
        assert_eq!(ended.stdout.trim(), count, "{ended:?}");
    }
    let none = Ended::of(&mut shell(&[], "wc -c; readlink /proc/self/fd/0").unwrap());
    assert_eq!(none.stdout.trim(), "0\n/dev/null", "{none:?}");
    let (child, writer) = start_with_input(shell(&[], "exec wc -c").unwrap(), Vec::new());
    writer.join().unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.stdout.trim(), "0", "{ended:?}");
}
