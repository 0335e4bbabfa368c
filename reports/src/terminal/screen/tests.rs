//! Screens of synthetic runs.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::fixture::{self, plain};
use crate::model::{
    ClockOffset, Instrument, Status, Target, TargetFamily, TargetKind, Unavailable,
};
use crate::schema::time;
use crate::terminal::wrap::length;

const REPORT: &str = "isobench-results/2026-11-24T02-16-07Z/report.html";

fn screen(run: &Run, width: u16) -> String {
    render(run, None, plain(width), Path::new(REPORT))
}

/// A peer that can't run, with the command that would change that.
fn missing(name: &str, command: Option<&str>) -> Target {
    Target {
        emulated: false,
        name: name.to_owned(),
        description: String::new(),
        kind: TargetKind::Peer,
        family: TargetFamily::Container,
        version: None,
        differences: Vec::new(),
        floor: None,
        unavailable: Some(Unavailable {
            reason: format!("{name} is not installed"),
            fix: format!("install Debian's package `{name}`"),
            command: command.map(str::to_owned),
        }),
    }
}

/// A run on a host without any peer, on which much can be doubted.
fn on_a_fresh_host() -> Run {
    let mut run = fixture::run();
    let peers = [
        "crun",
        "lxc",
        "runc",
        "podman",
        "containerd",
        "systemd-nspawn",
    ];
    let peers = peers.map(|name| missing(name, Some("scripts/install-peers")));
    run.targets.extend(peers);
    run.targets
        .push(missing("qemu-microvm", Some("isobench kernel build")));
    run.conduct.clock = Some(ClockOffset {
        before_ns: 0,
        after_ns: 3_000_000_000,
    });
    run.conduct.instrument = Some(Instrument {
        pairs: (0..20)
            .map(|i| [5e5 + f64::from(i), 6e5 + f64::from(i)])
            .collect(),
        ..Instrument::default()
    });
    run
}

#[test]
fn a_screen_of_80_columns() {
    insta::assert_snapshot!(screen(&on_a_fresh_host(), 80));
}

#[test]
fn the_screen_of_the_gallery_s_host() {
    let gallery = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/gallery/host");
    let run = crate::read_results(&gallery).unwrap();
    let report = Path::new("docs/gallery/host/report.html");
    insta::assert_snapshot!(render(&run, None, plain(80), report));
}

#[test]
fn the_missing_peers_share_a_line_with_the_command_that_brings_them() {
    let text = screen(&on_a_fresh_host(), 120);
    let line = "  crun, lxc, runc, podman, containerd and systemd-nspawn: scripts/install-peers";
    assert!(text.lines().any(|own| own == line), "{text}");
    assert!(
        text.contains("  qemu-microvm: isobench kernel build\n"),
        "{text}"
    );
}

#[test]
fn a_target_that_was_not_measured_has_no_row() {
    let text = screen(&on_a_fresh_host(), 80);
    let rows = |name: &str| text.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        (rows("container "), rows("microvm-linux")),
        (1, 0),
        "{text}"
    );
}

#[test]
fn a_narrow_terminal_has_fewer_columns() {
    let titles = |width| {
        let text = screen(&fixture::run(), width);
        let titles = ["start-up", "memory", "disk read"];
        titles.map(|title| {
            text.lines()
                .any(|line| line.starts_with(' ') && line.contains(title))
        })
    };
    assert_eq!(titles(80), [true; 3]);
    assert_eq!(titles(40), [true, false, false]);
}

#[test]
fn any_terminal_has_the_names_with_a_figure_each() {
    for width in [0, 1, 20, 30, 39] {
        let text = screen(&fixture::run(), width);
        let row = text.lines().find(|line| line.starts_with("container "));
        assert!(
            row.is_some_and(|row| row.contains(" ms")),
            "{width}\n{text}"
        );
    }
}

#[test]
fn a_run_without_figures_still_says_where_its_report_is() {
    let mut run = fixture::run();
    run.samples.clear();
    run.experiments.clear();
    let text = screen(&run, 80);
    assert!(text.starts_with("This run has no figures"), "{text}");
    assert!(text.ends_with(&format!("report: {REPORT}\n")), "{text}");
}

#[test]
fn a_target_with_an_emulated_processor_is_told_first() {
    let mut run = fixture::run();
    run.targets[1].emulated = true;
    assert!(screen(&run, 80).starts_with("! container: emulated CPU: shapes"));
    run.targets[1].unavailable = run.targets[3].unavailable.clone();
    assert!(!screen(&run, 80).starts_with('!'));
}

#[test]
fn an_emulated_processor_is_told_first() {
    let mut run = fixture::run();
    run.host.facts.push(fixture::emulation());
    assert!(screen(&run, 80).starts_with("! emulated CPU: shapes"));
}

#[test]
fn only_a_styled_screen_has_escape_sequences() {
    let mut run = on_a_fresh_host();
    run.targets[1].name = "\u{1b}[2Jcontainer\nprocess".to_owned();
    run.warnings.push("\u{1b}]0;title\u{7}".to_owned());
    assert!(!screen(&run, 80).contains('\u{1b}'));
    let options = TerminalOptions {
        style: Style::Styled,
        ..plain(80)
    };
    let styled = render(&run, None, options, Path::new(REPORT));
    assert!(styled.contains("\u{1b}[1mDoubts\u{1b}[0m"));
    assert!(!styled.contains("\u{1b}[2J") && !styled.contains("\u{1b}]"));
}

#[test]
fn the_screen_of_timed_commands() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    insta::assert_snapshot!(screen(&run, 80));
}

#[test]
fn the_screen_of_a_command_that_is_explained() {
    let mut run = fixture::explained();
    run.experiments.retain(|one| one.name != "time-server");
    insta::assert_snapshot!(screen(&run, 80));
}

#[test]
fn where_every_sample_failed_the_reasons_take_the_place_of_the_table() {
    let mut run = fixture::explained();
    for sample in &mut run.samples {
        if time::is_time(&sample.experiment) && sample.status != Status::Unavailable {
            (sample.status, sample.value) = (Status::Failed, None);
            sample.reason = Some("exit code 1: no module named web".to_owned());
        }
    }
    insta::assert_snapshot!(screen(&run, 80));
}

#[test]
fn a_single_command_is_told_in_a_sentence_above_its_table() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    run.experiments.remove(0);
    run.samples.retain(|sample| sample.experiment == "time");
    let text = screen(&run, 80);
    assert!(text.starts_with("`python3 -c 'print(1)'` takes "), "{text}");
    assert_eq!(
        text.matches("takes").count(),
        2,
        "the sentence, and a legend: {text}"
    );
}

#[test]
fn commands_without_a_bare_process_have_their_command_lines() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    run.samples.retain(|sample| sample.target != "process");
    run.targets.remove(0);
    let text = screen(&run, 80);
    assert!(text.starts_with("This run has no bare process"), "{text}");
    assert!(text.contains("server: python3 -m http.server"), "{text}");
}

#[test]
fn commands_that_don_t_fit_are_counted() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    for number in 0..12 {
        let mut copy = run.experiments[1].clone();
        copy.name = format!("time-{number}");
        let samples = run.samples.iter().filter(|one| one.experiment == "time");
        let samples: Vec<_> = samples.cloned().collect();
        run.samples.extend(samples.into_iter().map(|mut sample| {
            sample.experiment.clone_from(&copy.name);
            sample
        }));
        run.experiments.push(copy);
    }
    for width in [40, 60, 80, 120] {
        let text = screen(&run, width);
        assert!(text.lines().count() <= 40, "{text}");
        assert!(text.contains(" more in the report"), "{text}");
        let lines = text
            .lines()
            .filter(|line| !line.contains("isobench-results/"));
        for line in lines {
            assert!(length(line) <= usize::from(width), "{line}");
        }
    }
}

/// The run with more targets, more doubts and longer texts than any real one.
fn crowded(targets: usize, warnings: usize, text: &str) -> Run {
    let mut run = on_a_fresh_host();
    run.samples.retain(|sample| sample.round < 3);
    for number in 0..targets {
        let mut copy = run.targets[1].clone();
        copy.name = format!("{text}{number}");
        let samples = run
            .samples
            .iter()
            .filter(|sample| sample.target == "container");
        let samples: Vec<_> = samples.cloned().collect();
        run.samples.extend(samples.into_iter().map(|mut sample| {
            sample.target.clone_from(&copy.name);
            sample
        }));
        run.targets.push(copy);
        run.targets
            .push(missing(&format!("peer-{text}-{number}"), None));
    }
    run.warnings
        .extend((0..warnings).map(|number| format!("{number}: {text} {text}")));
    run
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn no_command_makes_a_screen_higher_or_wider(text in any::<String>(), width in 60..200_u16) {
        let mut run = on_a_fresh_host();
        fixture::only_time(&mut run);
        for experiment in &mut run.experiments {
            experiment.command = Some(text.clone());
        }
        for sample in run.samples.iter_mut().filter(|sample| sample.reason.is_some()) {
            sample.reason = Some(text.repeat(9));
        }
        let screen = screen(&run, width);
        prop_assert!(screen.lines().count() <= 40, "{screen}");
        for line in screen.lines().filter(|line| !line.contains("isobench-results/")) {
            prop_assert!(length(line) <= usize::from(width), "{line}");
        }
    }

    #[test]
    fn no_screen_is_higher_than_40_lines_or_wider_than_its_terminal(
        targets in 0..20_usize, warnings in 0..20_usize, text in "[a-zA-Z ]{0,90}", width in 60..200_u16,
    ) {
        let run = crowded(targets, warnings, &text);
        let screen = screen(&run, width);
        prop_assert!(screen.lines().count() <= 40, "{screen}");
        for line in screen.lines().filter(|line| !line.contains("isobench-results/")) {
            prop_assert!(length(line) <= usize::from(width), "{line}");
        }
    }
}
