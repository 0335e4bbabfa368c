//! Whatever ends `isobench exec` or its launcher, nothing of them stays.

use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::peers::{fake, path_with, programs};
use crate::support::isobench::{Finished, Isobench, WORKLOAD};
use crate::support::needs::can_run;
use crate::support::place::Place;

/// Stops `isobench exec` of a program that waits, so long after the start.
fn stopped_after(target: &'static str, milliseconds: u64) -> Finished {
    let running = Isobench::exec(target).program(&[WORKLOAD, "idle"]);
    let running = running.starts_with_input();
    sleep(Duration::from_millis(milliseconds));
    running.send(Signal::SIGTERM);
    running.ends()
}

#[test]
fn a_stop_at_any_moment_leaves_nothing() {
    for target in [
        "process",
        "container",
        "microvm-bare",
        "bwrap",
        "bwrap-0.11",
        "nsjail",
        "crun",
    ] {
        if !can_run(target) {
            continue;
        }
        for milliseconds in (10..60).step_by(2) {
            let finished = stopped_after(target, milliseconds);
            finished.leaves_nothing();
        }
    }
}

#[test]
fn what_a_launcher_leaves_behind_is_ended() {
    if !can_run("bwrap") {
        return;
    }
    let place = Place::new();
    let seconds = format!("20.{}", std::process::id());
    let script = format!("sleep {seconds} & echo $! > left; exit 3");
    let bin = programs(&place, &[("bwrap", &fake(&script))]);
    let exec = place.isobench(&["exec", "--target", "bwrap"]);
    let exec = exec.environment("PATH", path_with(&bin));
    exec.program(&[WORKLOAD, "ready"]).ends().has_code(3);
    let left = place.read("left");
    assert!(!Path::new("/proc").join(left.trim()).exists(), "{left}");
}
