//! How each runtime tells the ending of a program, as docs/exec.md has it, and what `isobench` says
//! where a runtime tells two endings alike.

use std::fs;
use std::io::BufReader;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use isobench_testing::compile_c;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::terminal::line;
use crate::peers::can_start;
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::needs::can_run;
use crate::support::place::Place;
use crate::support::traces;

/// The exit codes of a target after the program's own exit with code 3, after SIGSEGV, abort(3), and
/// SIGKILL from outside.
struct Codes {
    target: &'static str,
    segv: i32,
    abort: i32,
    /// `None` if the program is no process of the host's.
    killed: Option<i32>,
}

const fn codes(target: &'static str, segv: i32, abort: i32, killed: Option<i32>) -> Codes {
    Codes {
        target,
        segv,
        abort,
        killed,
    }
}

const CODES: [Codes; 14] = [
    codes("process", 139, 134, Some(137)),
    codes("container", 139, 134, Some(137)),
    codes("microvm-bare", 139, 134, None),
    codes("unshare", 139, 139, Some(1)),
    codes("bwrap", 139, 134, Some(137)),
    codes("bwrap-0.11", 139, 134, Some(137)),
    codes("nsjail", 139, 139, Some(137)),
    codes("crun", 139, 139, Some(137)),
    codes("lxc", 139, 134, Some(137)),
    codes("runc", 139, 139, Some(137)),
    codes("firejail", 139, 134, Some(137)),
    codes("systemd-nspawn", 255, 255, Some(255)),
    codes("runsc", 139, 134, None),
    codes("podman", 139, 139, Some(137)),
];

/// A place with the program of `endings.c`; `None` without a compiler.
fn place_with_program() -> Option<Place> {
    let place = Place::new();
    let path = place.path("endings");
    compile_c(&path, include_str!("endings.c"), &["-static"]).then_some(place)
}

/// The end of the program with these arguments.
fn end_of(place: &Place, target: &str, arguments: &[&str]) -> Ended {
    let exec = ["exec", "--target", target, "--", "./endings"];
    Ended::of(&mut place.command(ISOBENCH, &[&exec[..], arguments].concat()))
}

/// A program that waits in a target.
struct Waiting {
    child: Child,
    output: BufReader<ChildStdout>,
    name: String,
}

impl Waiting {
    fn start(place: &Place, target: &str, handled: &[&str]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{target}-{}-{number}", std::process::id());
        // A job in the background of a script ignores SIGINT, and what is ignored stays ignored.
        let isobench = ["--default-signal", ISOBENCH];
        let exec = ["exec", "--target", target, "--", "./endings", "wait", &name];
        let mut command = place.command("env", &[&isobench[..], &exec, handled].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        assert_eq!(line(&mut output), "ready", "{target}");
        Self {
            child,
            output,
            name,
        }
    }

    fn send(&self, signal: Signal) {
        let pid = self.child.id().try_into().unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// The program's process on the host: its words are the program's alone.
    fn program(&self) -> Pid {
        let words = format!("endings\0wait\0{}\0", self.name);
        let is_program = |pid: &i32| {
            let found = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let found = String::from_utf8_lossy(&found);
            let first = found.split('\0').next().unwrap_or_default();
            first.ends_with("endings") && found.contains(&words)
        };
        let names = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = names.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        Pid::from_raw(pids.find(is_program).unwrap())
    }

    fn ends(self, place: &Place) -> Ended {
        let pid = self.child.id();
        let ended = Ended::from(self.child.wait_with_output().unwrap());
        traces::assert_none(pid, place, &self.name);
        ended
    }
}

#[test]
fn each_runtime_tells_endings_by_the_codes_of_its_row() {
    let Some(place) = place_with_program() else {
        return;
    };
    for row in CODES {
        let target = row.target;
        if !can_run(target) {
            continue;
        }
        let code = |arguments: &[&str]| end_of(&place, target, arguments).code;
        assert_eq!(code(&["exit", "3"]), Some(3), "{target}");
        assert_eq!(code(&["segv"]), Some(row.segv), "{target}: SIGSEGV");
        assert_eq!(code(&["abort"]), Some(row.abort), "{target}: abort(3)");
        if let Some(killed) = row.killed {
            let waiting = Waiting::start(&place, target, &[]);
            kill(waiting.program(), Signal::SIGKILL).unwrap();
            waiting.ends(&place).has_code(killed);
        }
    }
}

#[test]
fn a_code_with_two_meanings_is_told_and_no_other() {
    const WORDS: &str = "exit code 255: systemd-nspawn tells so, too, that a signal ended";
    let Some(place) = place_with_program() else {
        return;
    };
    if can_run("systemd-nspawn") {
        let nspawn = |arguments: &[&str]| end_of(&place, "systemd-nspawn", arguments);
        nspawn(&["segv"]).has_code(255).says(WORDS);
        nspawn(&["exit", "255"]).has_code(255).says(WORDS);
        assert_eq!(nspawn(&["exit", "3"]).stderr, "");
        let time = ["time", "--runs", "1", "--targets", "systemd-nspawn"];
        let timed = place.isobench(&time).program(&["./endings", "segv"]).ends();
        timed.says("ended with exit code 255 (systemd-nspawn tells so, too, that a signal ended");
    }
    let other = end_of(&place, "process", &["exit", "255"]);
    assert_eq!(other.has_code(255).stderr, "");
}

#[test]
fn a_daemon_s_runtime_tells_endings_as_runc_does() {
    let Some(place) = place_with_program() else {
        return;
    };
    for target in ["docker", "containerd"] {
        if !can_start(target) {
            continue;
        }
        for (arguments, code) in [(&["exit", "3"][..], 3), (&["segv"], 139), (&["abort"], 139)] {
            let time = ["time", "--start-daemons", "--runs", "1", "--warmup", "0"];
            let time = place.isobench(&time).targets(target);
            let timed = time.program(&[&["./endings"], arguments].concat()).ends();
            timed
                .leaves_nothing()
                .says(&format!("failed: ended with exit code {code}"));
        }
    }
}

#[test]
fn process_1_that_does_not_handle_a_signal_is_killed_after_a_while() {
    let targets = ["unshare", "crun", "runc", "podman"];
    let targets: Vec<_> = targets.into_iter().filter(|name| can_run(name)).collect();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let begun = Instant::now();
        let mut started = Vec::new();
        for target in &targets {
            let Some(place) = place_with_program() else {
                return;
            };
            let waiting = Waiting::start(&place, target, &[]);
            waiting.send(signal);
            started.push((place, waiting));
        }
        for (place, waiting) in started {
            let ended = waiting.ends(&place);
            ended.has_code(137).says(signal.as_str()).says("process 1");
            assert!(begun.elapsed() >= Duration::from_secs(10), "{targets:?}");
        }
    }
}

#[test]
fn process_1_that_handles_a_signal_goes_on() {
    let Some(place) = place_with_program() else {
        return;
    };
    for target in ["crun", "runc"] {
        if !can_run(target) {
            continue;
        }
        let mut waiting = Waiting::start(&place, target, &["2", "15"]);
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            waiting.send(signal);
            assert_eq!(line(&mut waiting.output), "heard", "{target}");
        }
        // Longer than the time that a program has which doesn't handle them.
        std::thread::sleep(Duration::from_secs(12));
        waiting.send(Signal::SIGINT);
        assert_eq!(line(&mut waiting.output), "heard", "{target}");
        kill(waiting.program(), Signal::SIGKILL).unwrap();
        waiting.ends(&place).has_code(137);
    }
}

#[test]
fn nsjail_s_program_ends_with_isobench() {
    let Some(place) = place_with_program() else {
        return;
    };
    if !can_run("nsjail") {
        return;
    }
    let waiting = Waiting::start(&place, "nsjail", &[]);
    let program = waiting.program();
    waiting.send(Signal::SIGKILL);
    let deadline = Instant::now() + Duration::from_secs(10);
    // A process that has ended and isn't waited for has no command line.
    while fs::read(format!("/proc/{program}/cmdline")).is_ok_and(|words| !words.is_empty()) {
        assert!(Instant::now() < deadline, "{program} goes on");
        std::thread::sleep(Duration::from_millis(20));
    }
}
