//! Claims 8 and 9.

use super::*;
use crate::schema::image::NAME as IMAGE;

fn with_image() -> Run {
    let mut run = fixture::run();
    fixture::add_image(&mut run);
    run
}

/// The run in which, for these places, the metrics of shared bases and of copies have changed
/// names.
fn swapped(mut run: Run, places: &[[&str; 2]]) -> Run {
    for sample in run.samples.iter_mut().filter(|one| one.experiment == IMAGE) {
        for [left, right] in places {
            if let Some(count) = sample.metric.strip_prefix(left) {
                sample.metric = format!("{right}{count}");
            } else if let Some(count) = sample.metric.strip_prefix(right) {
                sample.metric = format!("{left}{count}");
            }
        }
    }
    run
}

/// The beginnings of a place's metrics: with one base for all, and with a copy for each.
const DISK: [&str; 2] = ["disk-shared-", "disk-copies-"];
const CACHE: [&str; 2] = ["cache-shared-", "cache-copies-"];

#[test]
fn a_machine_takes_tens_of_gigabytes_if_all_of_them_do() {
    let small = card(&with_image(), 8);
    assert_eq!(small.verdict, Verdict::Refuted, "{small:?}");
    assert!(
        small.figures[0].text.starts_with("microvm-bare: 4.") && small.wanted.is_none(),
        "{:?}",
        small.figures
    );
    let [parts, stand_in] = small.nuance.as_slice() else {
        panic!("{:?}", small.nuance)
    };
    assert!(parts.contains("launcher ("), "{parts}");
    assert!(
        stand_in.contains("100 instances of microvm-bare take 4.") && stand_in.contains("103"),
        "{stand_in}"
    );

    let large = scaled(with_image(), "microvm-bare", IMAGE, 1e4);
    assert_eq!(card(&large, 8).verdict, Verdict::Supported);
    // There is a second machine, which stays small.
    let both = renamed(large, "process", "microvm-linux");
    assert_eq!(card(&both, 8).verdict, Verdict::Depends);
    let mut doubtful = scaled(with_image(), "microvm-bare", IMAGE, 7e9 / 4.6e6);
    for sample in doubtful.samples.iter_mut().filter(|one| one.round % 2 == 0) {
        sample.value = sample.value.map(|value| value * 2.0);
    }
    let doubtful = card(&doubtful, 8);
    assert_eq!(doubtful.verdict, Verdict::Undecided, "{doubtful:?}");
    assert!(doubtful.wanted.is_some());
    let alone = card(&without(with_image(), &["microvm-bare"]), 8);
    assert_eq!(alone.verdict, Verdict::Undecided);
}

#[test]
fn layers_share_if_copies_take_more() {
    let shares = card(&with_image(), 9);
    assert_eq!(shares.verdict, Verdict::Supported, "{shares:?}");
    assert_eq!(shares.experiment, Some(IMAGE));
    let [disk, cache] = quoted(&shares)[..] else {
        panic!("{:?}", shares.figures)
    };
    assert!(disk.starts_with("100 instances of container on the disk: 5."));
    assert!(disk.contains("17.") && disk.contains("×"), "{disk}");
    assert!(cache.contains("in the page cache: 3."), "{cache}");
    let [more, machine] = shares.nuance.as_slice() else {
        panic!("{:?}", shares.nuance)
    };
    assert!(
        more.contains("adds 20.0\u{a0}KiB") && more.contains("1.02\u{a0}MiB"),
        "{more}"
    );
    assert!(
        machine.contains("does the same for a virtual machine: 100"),
        "{machine}"
    );

    let neither = card(&swapped(with_image(), &[DISK, CACHE]), 9);
    assert_eq!(neither.verdict, Verdict::Refuted);
    assert!(neither.nuance[1].contains("doesn't share"), "{neither:?}");
    let one = card(&swapped(with_image(), &[CACHE]), 9);
    assert_eq!(one.verdict, Verdict::Depends);
    let mut few = with_image();
    few.samples.retain(|one| one.round == 1);
    let few = card(&few, 9);
    assert_eq!(few.verdict, Verdict::Undecided, "{few:?}");
    let alone = card(&without(with_image(), &["container", "bwrap", "docker"]), 9);
    assert_eq!(alone.verdict, Verdict::Undecided);
}

#[test]
fn a_run_with_one_instance_alone_or_none_says_how_to_get_more() {
    for number in [8, 9] {
        let wanted = card(&fixture::run(), number).wanted.unwrap();
        assert!(wanted.contains("--experiments image"), "{wanted}");
    }
    let mut alone = with_image();
    let many = |name: &str| name.ends_with("-10") || name.ends_with("-100");
    alone.samples.retain(|sample| !many(&sample.metric));
    assert_eq!(card(&alone, 8).nuance.len(), 1);
    let alone = card(&alone, 9);
    assert_eq!(alone.verdict, Verdict::Undecided);
    assert!(alone.wanted.unwrap().contains("--experiments image"));
}
