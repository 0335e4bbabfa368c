//! Programs that wait before they start, and clones and snapshots of programs that have initialised.

#[expect(dead_code, reason = "the tests of isobench itself use the rest")]
#[path = "../support/mod.rs"]
mod support;

mod clones;
mod held;
mod snapshots;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _, pipe};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{SystemTime, UNIX_EPOCH};

use isobench_testing::compile_c;
use isobench_workloads::template;

const VMM: &str = env!("CARGO_BIN_EXE_isobench-vmm");
const CONTAINER: &str = env!("CARGO_BIN_EXE_isobench-container");
const WORKLOAD: &str = env!("CARGO_BIN_EXE_isobench-workload");
const SERVE: [&str; 4] = [WORKLOAD, "serve", "--touch", "1MiB"];

/// A program that is ready to be cloned.
struct Template {
    process: Child,
    requests: OwnedFd,
}

/// A clone's end of its standard streams.
struct Clone {
    input: File,
    output: BufReader<File>,
}

impl Template {
    /// Starts `command` with the socket for requests as its standard input.
    fn start(command: &mut Command) -> Self {
        let (requests, served) = template::socket().unwrap();
        let process = command.stdin(served).spawn().unwrap();
        Self { process, requests }
    }

    /// Starts a bare guest.
    fn of_guest(program: &[&str]) -> Self {
        let mut launcher = Command::new(VMM);
        launcher.args(["run", "--template", "--"]).args(program);
        Self::start(&mut launcher)
    }

    fn clone(&self) -> Clone {
        let (input, near_input) = pipe().unwrap();
        let (near_output, output) = pipe().unwrap();
        template::request(self.requests.as_fd(), input.as_fd(), output.as_fd()).unwrap();
        Clone {
            input: OwnedFd::from(near_input).into(),
            output: BufReader::new(OwnedFd::from(near_output).into()),
        }
    }

    /// Closes the socket, and expects that the template ends with code 0.
    fn end(mut self) {
        drop(self.requests);
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Clone {
    fn ask(&mut self) -> String {
        self.input.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line
    }

    /// What the clone still says after the end of its input.
    fn rest(self) -> String {
        let Self { input, mut output } = self;
        drop(input);
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// A compiled program in C.
fn compile(directory: &Path, source: &str) -> Option<String> {
    let program = directory.join("program");
    let compiled = compile_c(&program, source, &["-static", "-pthread"]);
    compiled.then(|| program.to_str().unwrap().to_owned())
}

/// Prints, after its first input, the time, a random number, a number of its thread's own, and one
/// that was in a register.
const OWN: &str = r#"
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
static __thread int own = 7;
int main(void) {
    double kept = 0.1;
    char line[9];
    struct timespec now;
    unsigned long number;
    clock_gettime(CLOCK_REALTIME, &now);
    asm volatile("" : "+x"(kept));
    if (!fgets(line, sizeof line, stdin)) return 3;
    asm volatile("" : "+x"(kept));
    clock_gettime(CLOCK_REALTIME, &now);
    if (getrandom(&number, sizeof number, 0) != sizeof number) return 4;
    printf("%ld %lx %d %.1f\n", (long)now.tv_sec, number, own++, kept);
    return 0;
}"#;

/// The random number of a line that a program [`OWN`] has printed after the moment `before`.
#[track_caller]
fn number_of(line: &str, before: SystemTime) -> String {
    let words: Vec<_> = line.split_whitespace().collect();
    let [seconds, number, own, kept] = words[..] else {
        panic!("{line:?}");
    };
    let before = before.duration_since(UNIX_EPOCH).unwrap();
    let late = seconds.parse::<u64>().unwrap() - before.as_secs();
    assert!(late < 5, "{line}");
    assert_eq!((own, kept), ("7", "0.1"));
    number.to_owned()
}
