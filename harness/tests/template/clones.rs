//! Clones of a program that has initialised.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use isobench_testing::{Need, lacks};
use isobench_workloads::template;

use crate::support::ended::Ended;
use crate::{OWN, SERVE, Template, VMM, WORKLOAD, compile, number_of};

/// Expects that clones answer each for itself, and end one by one.
fn clones_answer(template: Template) {
    let (mut one, mut other) = (template.clone(), template.clone());
    assert!(one.ask().contains("answer number=1 "));
    assert!(one.ask().contains("answer number=2 "));
    assert!(other.ask().contains("answer number=1 "));
    assert_eq!(one.rest(), "");
    assert!(other.ask().contains("answer number=2 "));
    assert_eq!(other.rest(), "");
    template.end();
}

#[test]
fn a_program_clones_itself() {
    let mut command = Command::new(WORKLOAD);
    let command = command.args(&SERVE[1..]).arg("--template");
    let mut template = Template::start(command.stdout(Stdio::piped()));
    let mut line = [0; 17];
    let said = template.process.stdout.as_mut().unwrap();
    said.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"isobench/1 begin\n");
    clones_answer(template);
}

#[test]
fn a_guest_without_an_os_is_cloned_with_its_program() {
    if !lacks(Need::Kvm) {
        clones_answer(Template::of_guest(&SERVE));
    }
}

#[test]
fn two_hundred_clones_live_at_once() {
    if lacks(Need::Kvm) {
        return;
    }
    let template = Template::of_guest(&SERVE);
    let mut clones: Vec<_> = (0..200).map(|_| template.clone()).collect();
    for clone in &mut clones {
        assert!(clone.ask().contains("answer number=1 "));
    }
    for clone in clones {
        assert_eq!(clone.rest(), "");
    }
    let pid = template.process.id();
    wait_until(|| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap() == "");
    template.end();
}

/// Waits until `is_so`, at most ten seconds.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it does not become so");
}

#[test]
fn a_template_that_dies_takes_its_clones_along() {
    if lacks(Need::Kvm) {
        return;
    }
    let mut template = Template::of_guest(&SERVE);
    let mut clone = template.clone();
    clone.ask();
    template.process.kill().unwrap();
    template.process.wait().unwrap();
    let mut rest = String::new();
    clone.output.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}

#[test]
fn clones_have_clocks_random_numbers_and_registers_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), OWN).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let template = Template::of_guest(&[&program]);
    let mut numbers = Vec::new();
    for _ in 0..3 {
        // The clock has gone on since the program read it.
        std::thread::sleep(Duration::from_millis(1100));
        let before = SystemTime::now();
        numbers.push(number_of(&template.clone().ask(), before));
    }
    numbers.dedup();
    assert_eq!(numbers.len(), 3);
    template.end();
}

#[test]
fn a_request_without_descriptors_makes_no_clone_and_does_no_harm() {
    if lacks(Need::Kvm) {
        return;
    }
    let template = Template::of_guest(&SERVE);
    nix::unistd::write(&template.requests, b"no descriptor").unwrap();
    assert!(template.clone().ask().contains("answer number=1 "));
    template.end();
}

#[test]
fn a_program_that_ends_before_its_input_ends_the_template() {
    if lacks(Need::Kvm) {
        return;
    }
    let (_requests, served) = template::socket().unwrap();
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--template", "--", WORKLOAD, "ready"]);
    let ended = Ended::of(launcher.stdin(served));
    ended.has_code(0).prints("isobench/1 ready");
}

#[test]
fn a_program_with_threads_is_no_template() {
    let source = r"
#include <pthread.h>
#include <unistd.h>
static void *wait(void *unused) { return sleep(60), unused; }
int main(void) {
    pthread_t thread;
    char byte;
    pthread_create(&thread, 0, wait, 0);
    return read(0, &byte, 1) != 1;
}";
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = compile(directory.path(), source).filter(|_| !lacks(Need::Kvm)) else {
        return;
    };
    let (_requests, served) = template::socket().unwrap();
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--template", "--", &program]);
    Ended::of(launcher.stdin(served)).is_refused_by("isobench-vmm", "has 2 threads");
}

#[test]
fn what_clones_would_share_is_refused() {
    let mut launcher = Command::new(VMM);
    launcher.args(["run", "--template", "--", WORKLOAD, "ready"]);
    let ended = Ended::of(launcher.stdin(Stdio::null()));
    ended.is_refused_by("isobench-vmm", "from a Unix socket as standard input");
    for (options, name) in [
        (&["--vcpus", "2"][..], "--vcpus"),
        (&["--net", "tap"], "--net tap"),
        (&["--disk", "/dev/null"], "a disk"),
    ] {
        let (_requests, served) = template::socket().unwrap();
        let mut launcher = Command::new(VMM);
        launcher.args(["run", "--template"]).args(options);
        launcher.args(["--", WORKLOAD, "ready"]).stdin(served);
        let words = format!("--template can't be combined with {name}");
        Ended::of(&mut launcher).is_refused_by("isobench-vmm", &words);
    }
}
