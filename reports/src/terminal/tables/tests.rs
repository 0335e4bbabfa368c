//! Tables of a synthetic run.

use crate::model::EMULATED;

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

/// The words of a text that stand between blanks and lines, but for long ones.
fn words(text: &str) -> std::collections::BTreeSet<&str> {
    let words =
        text.split(|letter: char| letter.is_whitespace() || "│┆╞╡┌┐└┘─═╪┬┴".contains(letter));
    let words = words.map(|word| word.trim_matches([',', ':', ';', '(', ')']));
    words.filter(|word| length(word) <= 16).collect()
}

#[test]
fn no_word_is_cut_and_no_line_too_wide_on_any_terminal() {
    let mut many = fixture::run();
    fixture::add_burst(&mut many);
    for run in [many, fixture::explained()] {
        let wide = render(&run, None, plain(1000));
        for width in [0, 1, 20, 21, 25, 30, 35, 40, 50, 60, 70, 79] {
            let text = render(&run, None, plain(width));
            let widest = text.lines().map(length).max().unwrap();
            assert!(
                widest <= usize::from(width.max(20)),
                "{widest} of {width}\n{text}"
            );
            let found = words(&text);
            let cut: Vec<_> = words(&wide)
                .into_iter()
                .filter(|word| !found.contains(word))
                .collect();
            assert_eq!(cut, [""; 0], "{width}\n{text}");
        }
    }
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
