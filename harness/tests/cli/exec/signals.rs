//! What a program finds of signals when it starts, and which of them reach it.

use std::io::{BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use isobench_testing::{Need, compile_c, lacks};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::terminal::{Terminal, line};
use crate::support::ended::Ended;
use crate::support::isobench::ISOBENCH;
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Targets whose programs get signals one by one.
const WITH_HANDLERS: [&str; 2] = ["process", "container"];

/// The program of `signals.c` in a place.
fn program(place: &Place) -> Option<PathBuf> {
    let path = place.path("signals");
    let flags = ["-static"];
    compile_c(&path, include_str!("signals.c"), &flags).then_some(path)
}

/// What the program says of its signals in `target`, after the shell has run `before`.
fn state(place: &Place, before: &str, target: &str) -> String {
    let script = format!("{before}; exec {ISOBENCH} exec --target {target} -- ./signals state");
    let ended = Ended::of(&mut place.command("/bin/bash", &["-c", &script]));
    ended.has_code(0);
    ended.stdout
}

#[test]
fn what_is_ignored_stays_ignored() {
    let place = Place::new();
    if program(&place).is_none() {
        return;
    }
    for target in ["process", "container", "microvm-bare", "bwrap", "unshare"] {
        if !can_run(target) {
            continue;
        }
        assert_eq!(state(&place, "true", target), "", "{target}");
        let ignored = state(&place, "trap '' HUP INT QUIT PIPE USR1 TERM RTMAX", target);
        let numbers = [1, 2, 3, 10, 13, 15, 64];
        let expected: String = numbers.map(|number| format!("ignored {number}\n")).concat();
        assert_eq!(ignored, expected, "{target}");
    }
}

/// The words before the target's name.
const EXEC: [&str; 3] = [ISOBENCH, "exec", "--target"];

/// A caller that ignores SIGCHLD and blocks SIGUSR2. A shell takes SIGCHLD back for its own children.
const CALLER: &str = "
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
os.execv(sys.argv[1], sys.argv[1:])";

#[test]
fn ignored_ends_of_children_are_still_heard_of_by_isobench() {
    let place = Place::new();
    if program(&place).is_none() || lacks(Need::Program("python3")) {
        return;
    }
    for target in WITH_HANDLERS {
        if !can_run(target) {
            continue;
        }
        let exec = [&EXEC[..], &[target, "--", "./signals", "state"]].concat();
        let words = [&["-c", CALLER][..], &exec].concat();
        let ended = Ended::of(&mut place.command("/usr/bin/python3", &words));
        ended
            .has_code(0)
            .prints("blocked 12\n")
            .prints("ignored 17\n");
    }
}

/// An `isobench exec` of the waiting program, in a process group of its own.
struct Waiting {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Waiting {
    fn start(place: &Place, target: &str, signals: &[Signal]) -> Self {
        let exec = ["exec", "--target", target, "--", "./signals", "wait"];
        let mut command = place.command(ISOBENCH, &exec);
        command.args(signals.iter().map(|signal| (*signal as i32).to_string()));
        // A group whose parent is outside, as in a shell: signals stop its processes.
        command.process_group(0).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        assert_eq!(line(&mut output), "ready");
        Self { child, output }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    fn send(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    fn line(&mut self) -> String {
        line(&mut self.output)
    }

    /// Waits until isobench is in this state (proc(5)).
    fn gets_into_state(&self, state: char) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let path = format!("/proc/{}/stat", self.pid());
        loop {
            let stat = std::fs::read_to_string(&path).unwrap();
            let found = stat.rsplit(") ").next().unwrap().chars().next();
            if found == Some(state) {
                return;
            }
            assert!(Instant::now() < deadline, "not in state {state}: {stat}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn signals_reach_the_program_one_by_one() {
    let place = Place::new();
    if program(&place).is_none() {
        return;
    }
    let signals = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGALRM,
        Signal::SIGWINCH,
        Signal::SIGTSTP,
        Signal::SIGCONT,
        Signal::SIGTERM,
    ];
    for target in WITH_HANDLERS {
        if !can_run(target) {
            continue;
        }
        let mut waiting = Waiting::start(&place, target, &signals);
        for signal in signals {
            waiting.send(signal);
            let expected = format!("caught {:02}", signal as i32);
            assert_eq!(waiting.line(), expected, "{target}");
        }
        assert_eq!(waiting.child.wait().unwrap().code(), Some(7), "{target}");
    }
}

#[test]
fn a_stopped_run_goes_on() {
    let place = Place::new();
    if program(&place).is_none() {
        return;
    }
    for target in WITH_HANDLERS {
        if !can_run(target) {
            continue;
        }
        let signals = [Signal::SIGUSR1, Signal::SIGTERM];
        let mut waiting = Waiting::start(&place, target, &signals);
        for stop in [Signal::SIGTSTP, Signal::SIGSTOP] {
            waiting.send(stop);
            waiting.gets_into_state('T');
            waiting.send(Signal::SIGCONT);
            waiting.gets_into_state('S');
            waiting.send(Signal::SIGUSR1);
            assert_eq!(waiting.line(), "caught 10", "{target} after {stop}");
        }
        waiting.send(Signal::SIGTERM);
        assert_eq!(waiting.line(), "caught 15", "{target}");
        assert_eq!(waiting.child.wait().unwrap().code(), Some(7), "{target}");
    }
}

/// The key Ctrl-C.
const CTRL_C: u8 = 3;

#[test]
fn one_ctrl_c_is_one_sigint() {
    let place = Place::new();
    if program(&place).is_none() || lacks(Need::Program("setsid")) {
        return;
    }
    for target in WITH_HANDLERS {
        if !can_run(target) {
            continue;
        }
        let program = [target, "--", "./signals", "wait", "2", "10"];
        let exec = [&EXEC[..], &program].concat();
        let mut terminal = Terminal::start(&place, &exec);
        assert_eq!(terminal.line(), "ready", "{target}");
        for _ in 0..20 {
            terminal.press(CTRL_C);
            assert_eq!(terminal.line(), "^Ccaught 02", "{target}");
            // A second SIGINT would come within this time.
            std::thread::sleep(Duration::from_millis(20));
        }
        terminal.press(28); // Ctrl-\ ends the program.
        let mut rest = String::new();
        // The end of the last process on the terminal is an error of its master, EIO.
        let _ = terminal.screen.read_to_string(&mut rest);
        assert!(!rest.contains("caught"), "{target}: {rest}");
        assert_eq!(terminal.child.wait().unwrap().code(), Some(131), "{target}");
    }
}
