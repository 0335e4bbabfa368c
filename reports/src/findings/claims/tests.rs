//! Each claim, with runs that bring each of its verdicts.

use super::*;
use crate::export::json::undeclared::fill_in;
use crate::fixture;
use crate::model::{Metric, Run, Sample, TargetFamily, Unit};
use crate::words::Language;

mod image;
mod warm;

fn card(run: &Run, number: usize) -> Card {
    let mut cards = cards(&Summary::of(run), &Words::of(Language::English));
    cards.swap_remove(number - 1)
}

/// The words of the figures that a card quotes.
fn quoted(card: &Card) -> Vec<&str> {
    card.figures
        .iter()
        .map(|quote| quote.text.as_str())
        .collect()
}

/// The run with every sample of a target in an experiment multiplied by `factor`.
fn scaled(mut run: Run, target: &str, experiment: &str, factor: f64) -> Run {
    let of = |sample: &&mut Sample| sample.target == target && sample.experiment == experiment;
    for sample in run.samples.iter_mut().filter(of) {
        sample.value = sample.value.map(|value| value * factor);
    }
    run
}

/// The run without the samples of some targets.
fn without(mut run: Run, targets: &[&str]) -> Run {
    run.samples
        .retain(|sample| !targets.contains(&sample.target.as_str()));
    run.targets
        .retain(|target| !targets.contains(&target.name.as_str()));
    run
}

/// The run with another name for a target, and the family that this name has.
fn renamed(mut run: Run, from: &str, to: &str) -> Run {
    for target in run.targets.iter_mut().filter(|target| target.name == from) {
        to.clone_into(&mut target.name);
        target.family = TargetFamily::Other;
    }
    fill_in(&mut run);
    for sample in run
        .samples
        .iter_mut()
        .filter(|sample| sample.target == from)
    {
        to.clone_into(&mut sample.target);
    }
    run
}

/// The run with its figures of the disk as figures of the processor.
fn with_programs() -> Run {
    let mut run = fixture::run();
    for experiment in run.experiments.iter_mut().filter(|one| one.name == "disk") {
        "cpu".clone_into(&mut experiment.name);
    }
    for sample in run
        .samples
        .iter_mut()
        .filter(|one| one.experiment == "disk")
    {
        "cpu".clone_into(&mut sample.experiment);
    }
    run
}

#[test]
fn a_machine_takes_minutes_if_one_with_firmware_does() {
    let bare = card(&fixture::run(), 1);
    assert_eq!(bare.verdict, Verdict::Depends);
    assert!(bare.wanted.is_some() && bare.answer.starts_with("Depends on what"));
    assert!(
        bare.figures[0].text.starts_with("microvm-bare: 2."),
        "{:?}",
        bare.figures
    );
    assert!(bare.nuance[0].contains("load ("), "{:?}", bare.nuance);

    let pc = renamed(fixture::run(), "microvm-bare", "qemu-pc");
    assert_eq!(card(&pc, 1).verdict, Verdict::Refuted);
    let slow = scaled(pc.clone(), "qemu-pc", "startup", 5e4);
    assert_eq!(card(&slow, 1).verdict, Verdict::Supported);
    let middling = scaled(pc.clone(), "qemu-pc", "startup", 60e9 / 2.2e6);
    assert_eq!(card(&middling, 1).verdict, Verdict::Undecided);

    let mut emulated = pc.clone();
    for target in emulated
        .targets
        .iter_mut()
        .filter(|one| one.name == "qemu-pc")
    {
        target.emulated = true;
    }
    let told = card(&emulated, 1);
    assert_eq!(told.verdict, Verdict::Refuted);
    let words = "The processor of qemu-pc is a program";
    assert!(
        told.nuance.iter().any(|text| text.starts_with(words)),
        "{:?}",
        told.nuance
    );
    let minutes = scaled(emulated, "qemu-pc", "startup", 5e4);
    assert_eq!(card(&minutes, 1).verdict, Verdict::Depends);

    let none = without(fixture::run(), &["microvm-bare"]);
    let none = card(&none, 1);
    assert_eq!(none.verdict, Verdict::Undecided);
    assert!(
        none.answer
            .contains("microvm-linux: the host has software KVM"),
        "{}",
        none.answer
    );
}

#[test]
fn a_container_starts_in_milliseconds_unless_its_runtime_takes_minutes() {
    let run = fixture::run();
    let fast = card(&run, 2);
    assert_eq!(fast.verdict, Verdict::Supported);
    assert!(
        fast.nuance[1].starts_with("docker takes "),
        "{:?}",
        fast.nuance
    );
    let slow = scaled(fixture::run(), "docker", "startup", 1e3);
    assert_eq!(card(&slow, 2).verdict, Verdict::Depends);
    let mut all = fixture::run();
    for target in ["container", "bwrap", "docker"] {
        all = scaled(all, target, "startup", 1e5);
    }
    assert_eq!(card(&all, 2).verdict, Verdict::Refuted);
    let none = without(fixture::run(), &["container", "bwrap", "docker"]);
    assert_eq!(
        card(&none, 2).answer,
        "Not measurable here: this run has no container"
    );
}

#[test]
fn memory_is_judged_by_what_the_cgroup_is_charged() {
    let mut run = fixture::run();
    for metric in run.experiments.iter_mut().flat_map(|one| &mut one.metrics) {
        if metric.name == "overhead" {
            "charge".clone_into(&mut metric.name);
        }
    }
    for sample in run
        .samples
        .iter_mut()
        .filter(|one| one.metric == "overhead")
    {
        "charge".clone_into(&mut sample.metric);
    }
    for number in [3, 5] {
        let more = card(&run, number);
        assert_eq!(more.verdict, Verdict::Supported);
        assert!(
            more.figures[1].text.contains("microvm-bare is 2."),
            "{:?}",
            more.figures
        );
        assert!(more.nuance[0].contains("kernel ("), "{:?}", more.nuance);
        let less = scaled(run.clone(), "microvm-bare", "memory", 0.1);
        assert_eq!(card(&less, number).verdict, Verdict::Refuted);
        assert_eq!(
            card(&without(run.clone(), &["microvm-bare"]), number).verdict,
            Verdict::Undecided
        );
    }
    let mut both = run.clone();
    add_processor_time(&mut both, 0.2);
    assert_eq!(card(&both, 3).verdict, Verdict::Depends);
    assert_eq!(card(&both, 5).verdict, Verdict::Supported);
    assert_eq!(card(&fixture::run(), 5).verdict, Verdict::Undecided);
}

/// Adds the processor time of starts. The machine takes `share` of the processor time of the
/// container.
fn add_processor_time(run: &mut Run, share: f64) {
    let teardown: Vec<Sample> = run
        .samples
        .iter()
        .filter(|one| one.metric == "teardown")
        .cloned()
        .collect();
    run.samples
        .extend(teardown.into_iter().map(|sample| Sample {
            value: sample.value.map(|value| {
                if sample.target == "microvm-bare" {
                    value * share
                } else {
                    value
                }
            }),
            metric: "cpu".to_owned(),
            ..sample
        }));
    let startup = &mut run.experiments[0].metrics;
    let cpu = Metric {
        name: "cpu".to_owned(),
        unit: Unit::Nanoseconds,
        ..startup[1].clone()
    };
    startup.push(cpu);
}

/// The run with its figures of memory as figures of one more idle instance.
fn with_density() -> Run {
    let mut run = fixture::run();
    let memory = run
        .experiments
        .iter_mut()
        .find(|one| one.name == "memory")
        .unwrap();
    "density".clone_into(&mut memory.name);
    "per-instance".clone_into(&mut memory.metrics[0].name);
    for sample in run
        .samples
        .iter_mut()
        .filter(|one| one.experiment == "memory")
    {
        "density".clone_into(&mut sample.experiment);
        "per-instance".clone_into(&mut sample.metric);
    }
    run
}

#[test]
fn many_more_containers_fit_where_a_machine_takes_twice_as_much() {
    let verdict = |factor: f64| {
        let run = scaled(with_density(), "microvm-bare", "density", factor);
        card(&run, 7).verdict
    };
    // A machine takes some three times the memory of the container.
    let verdicts = [1.0, 0.5, 0.35, 0.1].map(verdict);
    assert_eq!(
        verdicts,
        [
            Verdict::Supported,
            Verdict::Depends,
            Verdict::Refuted,
            Verdict::Refuted
        ]
    );
    let mut few = with_density();
    few.samples.retain(|one| one.round == 1);
    assert_eq!(card(&few, 7).verdict, Verdict::Undecided);
    let alone = without(with_density(), &["microvm-bare"]);
    assert_eq!(card(&alone, 7).verdict, Verdict::Undecided);
    assert!(
        card(&fixture::run(), 7)
            .wanted
            .unwrap()
            .contains("--experiments density")
    );
}

#[test]
fn speed_depends_on_what_is_done_unless_all_figures_agree() {
    for (number, make) in [(6, fixture::run as fn() -> Run), (4, with_programs)] {
        let experiment = if number == 6 { "disk" } else { "cpu" };
        let run = make();
        let mixed = scaled(run.clone(), "microvm-bare", experiment, 0.5);
        // Half the throughput, and half the time of a flush.
        let mixed = card(&mixed, number);
        assert_eq!(mixed.verdict, Verdict::Depends, "{mixed:?}");
        assert!(
            mixed.figures.len() <= 6 && mixed.nuance.len() >= 2,
            "{mixed:?}"
        );
        let mut rates = run.clone();
        rates.experiments[2].metrics.truncate(3);
        rates.samples.retain(|one| !one.metric.starts_with("fsync"));
        let slow = scaled(rates.clone(), "microvm-bare", experiment, 0.5);
        assert_eq!(card(&slow, number).verdict, Verdict::Supported);
        let fast = scaled(rates, "microvm-bare", experiment, 2.0);
        assert_eq!(card(&fast, number).verdict, Verdict::Refuted);
        let mut few = run.clone();
        few.samples.retain(|one| one.round == 1);
        assert_eq!(card(&few, number).verdict, Verdict::Undecided);
        let alone = card(&without(run, &["microvm-bare"]), number);
        assert_eq!(alone.verdict, Verdict::Undecided);
    }
    assert!(
        card(&fixture::run(), 4)
            .wanted
            .unwrap()
            .contains("--experiments cpu")
    );
}

#[test]
fn what_a_run_can_t_decide_says_what_would() {
    let mut empty = fixture::run();
    empty.samples.clear();
    empty.experiments.clear();
    let cards = cards(&Summary::of(&empty), &Words::of(Language::English));
    assert_eq!(cards.len(), 11);
    for card in cards {
        assert_eq!(card.verdict, Verdict::Undecided);
        assert!(card.wanted.is_some() && card.figures.is_empty(), "{card:?}");
    }
}

#[test]
fn isolation_is_decided_by_what_is_within_reach_and_by_whose_kernel_it_is() {
    let mut run = fixture::run();
    assert_eq!(card(&run, 11).verdict, Verdict::Undecided);
    assert!(
        card(&run, 11)
            .wanted
            .unwrap()
            .contains("--experiments isolation")
    );
    fixture::add_isolation(&mut run);
    let found = card(&run, 11);
    assert_eq!(found.verdict, Verdict::Depends);
    assert_eq!(
        quoted(&found)[..3],
        [
            "process: runs on the host's kernel, of which 355 system calls are within reach (the same in all 19 samples)",
            "container: runs on the host's kernel, of which 293 system calls are within reach (the same in all 19 samples)",
            "microvm-bare: doesn't run on the host's kernel, of which 5 system calls are made on its behalf (the same in all 19 samples)",
        ]
    );
    assert!(found.nuance[0].starts_with("container leaves 293 of the 355 system calls"));
    // A container that reaches as many system calls as a process isolates nothing that is counted
    // here.
    let free = scaled(run.clone(), "container", "isolation", 356.0 / 293.0);
    assert_eq!(card(&free, 11).verdict, Verdict::Refuted);
    assert_eq!(
        card(&without(run, &["container", "docker"]), 11).verdict,
        Verdict::Undecided
    );
}

#[test]
fn the_environment_depends_on_the_kernel_that_is_not_carried() {
    let mut run = fixture::run();
    assert_eq!(card(&run, 10).verdict, Verdict::Undecided);
    fixture::add_isolation(&mut run);
    let found = card(&run, 10);
    assert_eq!(found.verdict, Verdict::Depends);
    assert_eq!(
        quoted(&found)[1..3],
        [
            "container: the host's kernel answers 294 system calls (the same in all 19 samples)",
            "microvm-bare: 128 system calls are answered, not by the host's kernel (the same in all 19 samples)",
        ]
    );
    assert!(found.nuance[0].starts_with("On this one host container answers 294"));
    // A container with a kernel of its own carries all of its environment.
    for sample in &mut run.samples {
        if sample.metric == "host-kernel" && sample.target == "container" {
            sample.value = Some(0.0);
        }
    }
    assert_eq!(card(&run, 10).verdict, Verdict::Supported);
}
