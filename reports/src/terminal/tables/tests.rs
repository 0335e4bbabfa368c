//! Tables of a synthetic run.

use super::*;
use crate::fixture::{self, plain};

#[test]
fn a_table_for_80_columns() {
    insta::assert_snapshot!(render(&fixture::run(), None, plain(80)));
}

#[test]
fn a_table_for_120_columns() {
    insta::assert_snapshot!(render(&fixture::run(), None, plain(120)));
}

#[test]
fn the_tables_of_timed_commands() {
    let mut run = fixture::run();
    fixture::only_time(&mut run);
    insta::assert_snapshot!(render(&run, None, plain(80)));
}

#[test]
fn why_the_targets_of_a_command_differ() {
    let text = render(&fixture::explained(), None, plain(80));
    let from = text.find("time, why").unwrap();
    let blocks: Vec<&str> = text[from..].split("\n\n").take(2).collect();
    insta::assert_snapshot!(blocks.join("\n\n"));
    for width in [40, 60, 80, 120] {
        let text = render(&fixture::explained(), None, plain(width));
        let widest = text.lines().map(length).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} of {width}\n{text}");
    }
}

#[test]
fn the_tables_of_many_starts_at_once() {
    let mut run = fixture::run();
    run.experiments.clear();
    run.samples.clear();
    fixture::add_burst(&mut run);
    insta::assert_snapshot!(render(&run, None, plain(80)));
}

#[test]
fn a_row_is_left_out_only_where_another_table_has_it() {
    let mut run = fixture::run();
    let rows = |run: &Run, name: &str| {
        let text = render(run, None, plain(120));
        text.lines()
            .filter(|line| line.starts_with('│') && line.contains(name))
            .count()
    };
    assert_eq!((rows(&run, "namespaces"), rows(&run, "process")), (2, 5));
    run.samples.clear();
    assert_eq!((rows(&run, "namespaces"), rows(&run, "process")), (3, 3));
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    for width in [40, 60, 80, 100, 120, 200] {
        let text = render(&fixture::run(), None, plain(width));
        let widest = text.lines().map(length).max().unwrap();
        assert!(widest <= usize::from(width), "{widest} of {width}\n{text}");
    }
}

#[test]
fn colour_only_if_asked_for_and_no_escape_from_the_file() {
    let mut run = fixture::run();
    run.targets[1].name = "\u{1b}[2Jcontainer\nprocess".to_owned();
    run.warnings.push("\u{1b}]0;title\u{7}".to_owned());
    assert!(!render(&run, None, plain(80)).contains('\u{1b}'));
    let coloured = render(
        &run,
        None,
        TerminalOptions {
            style: Style::Styled,
            ..plain(80)
        },
    );
    assert!(
        coloured.contains("\u{1b}[1m")
            && !coloured.contains("\u{1b}[2J")
            && !coloured.contains("\u{1b}]")
    );
}

#[test]
fn an_emulated_processor_is_told_first() {
    let options = plain(80);
    let mut run = fixture::run();
    assert!(!render(&run, None, options).contains(EMULATED));
    run.host.facts.push(fixture::emulation());
    assert!(render(&run, None, options).starts_with("! emulated CPU: shapes"));
}

#[test]
fn a_run_without_anything_is_still_drawn() {
    let mut run = fixture::run();
    run.targets.clear();
    run.samples.clear();
    assert!(render(&run, None, plain(80)).contains("how to read"));
    run.experiments.clear();
    assert!(render(&run, None, plain(0)).contains("how to read"));
}
