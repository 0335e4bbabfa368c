//! `isobench run --tune`, with files in place of the kernel's. However a run ends, the settings are
//! put back.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use isobench::host::probe::pss::process_tree;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::isobench::{Isobench, Running};
use crate::support::place::Place;

/// The path of each setting, its value before and after a run, and its value during the run.
const SETTINGS: [(&str, &str, &str); 5] = [
    (
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
        "powersave",
        "performance",
    ),
    (
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor",
        "powersave",
        "performance",
    ),
    ("sys/devices/system/cpu/intel_pstate/no_turbo", "0", "1"),
    (
        "sys/kernel/mm/transparent_hugepage/enabled",
        "always",
        "madvise",
    ),
    ("sys/kernel/mm/ksm/run", "1", "0"),
];

/// A run that changes the settings in `place`.
fn tuned(place: &Place) -> Isobench {
    tuned_into(place, "out")
}

/// The same, with another directory for its results.
fn tuned_into(place: &Place, out: &str) -> Isobench {
    let run = place.run_into(out).targets("process");
    let run = run.experiments("startup");
    run.options(&["--tune", "--tune-root", "root"])
}

/// Starts a run that changes the settings, and waits until it takes samples.
fn sampling(place: &Place) -> Running {
    let mut running = tuned(place).profile("thorough").starts();
    running.takes_samples();
    running
}

fn place() -> Place {
    let place = Place::new();
    for cpu in 0..2 {
        let directory = place.path(&format!("root/sys/devices/system/cpu/cpu{cpu}/cpufreq"));
        fs::create_dir_all(&directory).unwrap();
        let offered = directory.join("scaling_available_governors");
        fs::write(offered, "performance powersave\n").unwrap();
    }
    for (path, before, _) in SETTINGS {
        let path = file(&place, path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, before).unwrap();
    }
    place
}

fn file(place: &Place, path: &str) -> PathBuf {
    place.path("root").join(path)
}

fn now(place: &Place) -> Vec<String> {
    let read = |path| fs::read_to_string(file(place, path)).unwrap();
    SETTINGS.iter().map(|(path, _, _)| read(path)).collect()
}

fn before() -> Vec<&'static str> {
    SETTINGS.iter().map(|(_, before, _)| *before).collect()
}

fn during() -> Vec<&'static str> {
    SETTINGS.iter().map(|(_, _, during)| *during).collect()
}

/// The process that puts the settings back when the run has died.
fn guardian_of(run: Pid) -> Pid {
    let tree = process_tree(run).unwrap();
    let is_guardian = |process: &procfs::process::Process| {
        let arguments = process.cmdline().unwrap_or_default();
        arguments.iter().any(|argument| argument == "keep-settings")
    };
    let guardian = tree.into_iter().find(is_guardian).unwrap();
    Pid::from_raw(guardian.pid())
}

/// Whether the settings are put back within 20 s.
fn come_back(place: &Place) -> bool {
    let deadline = Instant::now() + Duration::from_secs(20);
    while now(place) != before() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

#[test]
fn a_run_tells_what_it_changed_and_puts_it_back() {
    let place = place();
    let finished = tuned(&place)
        .quick()
        .options(&["--format", "table"])
        .succeeds();
    assert_eq!(now(&place), before());
    let changed = finished.results().conduct.tuned.iter();
    let changed = changed.map(|setting| (&*setting.path, &*setting.from, &*setting.to));
    assert_eq!(changed.collect::<Vec<_>>(), SETTINGS);
    let words: Vec<_> = finished.stdout.split_whitespace().collect();
    let said = words.join(" ");
    let governor = "scaling_governor (2×) from powersave to performance";
    assert!(said.contains(governor), "{said}");
}

#[test]
fn settings_are_put_back_whatever_ends_the_run() {
    for signal in [
        Signal::SIGINT,
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGKILL,
    ] {
        let place = place();
        let running = sampling(&place);
        assert_eq!(now(&place), during(), "{signal}");
        running.send(signal);
        running.ends();
        assert!(come_back(&place), "{signal}: {:?}", now(&place));
    }
}

#[test]
fn what_is_meant_for_the_run_does_not_end_the_process_that_puts_settings_back() {
    let place = place();
    let running = sampling(&place);
    let guardian = guardian_of(running.pid());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        kill(guardian, signal).unwrap();
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(now(&place), during());
    running.send(Signal::SIGKILL);
    running.ends();
    assert!(come_back(&place), "{:?}", now(&place));
}

#[test]
fn a_second_run_does_not_tune_a_host_that_is_tuned() {
    let place = place();
    let first = sampling(&place);
    let guardian = guardian_of(first.pid());
    let finished = tuned_into(&place, "second").quick().ends();
    let words = format!("another run of isobench has tuned this host, and its process {guardian} ");
    finished.is_refused_by("isobench", &words);
    assert_eq!(now(&place), during());
    first.send(Signal::SIGKILL);
    first.ends();
    assert!(come_back(&place), "{:?}", now(&place));
    tuned_into(&place, "third").quick().succeeds();
    assert_eq!(now(&place), before());
}

#[test]
fn a_run_whose_guardian_was_killed_puts_settings_back_itself() {
    let place = place();
    let running = sampling(&place);
    kill(guardian_of(running.pid()), Signal::SIGKILL).unwrap();
    running.send(Signal::SIGINT);
    running.ends();
    assert_eq!(now(&place), before());
}

#[test]
fn a_run_keeps_to_the_processors_that_it_is_given() {
    let run = |processors| {
        let run = Isobench::run().quick().targets("process");
        run.experiments("startup").options(&["--pin", processors])
    };
    run("1000-1001").refuses("--pin 1000-1001");
    let finished = run("0").succeeds();
    let mut facts = finished.results().host.facts.iter();
    let affinity = facts.find(|fact| fact.key == "affinity").unwrap();
    assert_eq!(affinity.value, "0");
}

#[test]
fn a_host_with_nothing_to_tune_is_measured_as_it_is() {
    let place = Place::new();
    fs::create_dir(place.path("root")).unwrap();
    let finished = tuned(&place)
        .quick()
        .options(&["--format", "table"])
        .succeeds();
    assert!(!finished.saved("results.json").contains("\"tuned\""));
}
