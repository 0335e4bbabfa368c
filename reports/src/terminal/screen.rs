//! The screen that a run ends with: its verdict, the ladder, what couldn't run, and the doubts. A
//! run of timed commands has a table for each of them instead of the ladder.
//!
//! A screen of 80 columns and 40 lines holds all of it. What doesn't fit is counted, and stands in
//! the report and in the tables.

mod columns;
mod commands;
mod doubts;
mod explanation;
mod ladder;
mod missing;

use std::path::Path;

use super::wrap::{Indent, clip, wrap};
use super::{Style, TerminalOptions};
use crate::figures::summary::Summary;
use crate::findings::{headline, verdict};
use crate::model::Run;
use crate::schema::are_of_commands;
use crate::words::{Language, Words};

/// Lines of a screen.
const HEIGHT: usize = 40;

/// Most lines of the verdict.
const VERDICT_LINES: usize = 4;

/// No indent.
const FLUSH: Indent<'_> = Indent {
    first: "",
    rest: "",
};

/// Writes the screen for a run whose report is at `report`.
///
/// Ratios are to rung 0 of the ladder, or to the target named `baseline`. No line is wider than the
/// terminal but for one that holds a longer path, which can only be copied if nothing cuts it.
pub fn render(
    run: &Run,
    baseline: Option<&str>,
    options: TerminalOptions,
    report: &Path,
) -> String {
    let summary = Summary::against(run, baseline);
    let words = Words::of(Language::English);
    let width = usize::from(options.with_room().width);
    let mut blocks = vec![
        verdict_lines(&summary, baseline, &words, width),
        missing::lines(run, &words, options.style, width),
        doubts::lines(&summary, &words, options.style, width),
        places(report),
    ];
    // A blank line follows each block but the last, the ladder's included.
    let others: usize = blocks.iter().map(|lines| lines.len() + 1).sum();
    let room = HEIGHT.saturating_sub(others);
    let figures = if are_of_commands(&run.experiments) {
        commands::lines(&summary, &words, options.style, width, room)
    } else {
        ladder::lines(&summary, options.style, width, room)
    };
    blocks.insert(1, figures);
    let blocks = blocks.into_iter().filter(|lines| !lines.is_empty());
    let blocks: Vec<String> = blocks.map(|lines| lines.join("\n")).collect();
    blocks.join("\n\n") + "\n"
}

/// The run's answer in a sentence, or the first finding of a run that has no such answer.
fn verdict_lines(
    summary: &Summary<'_>,
    baseline: Option<&str>,
    words: &Words,
    width: usize,
) -> Vec<String> {
    let stamp = summary.run.stamp();
    let stamp = stamp.map(|stamp| wrap(&format!("! {stamp}"), FLUSH, width));
    let sentence = verdict::sentence(summary, words).or_else(|| {
        let findings = headline::sentences(summary, baseline, words);
        findings.into_iter().next()
    });
    // The sentence about a command stands above the command's own table.
    let sentence = sentence.filter(|_| !commands::has_sentence(summary, words));
    let sentence = wrap(&sentence.unwrap_or_default(), FLUSH, width);
    let lines = stamp.into_iter().flatten().chain(sentence);
    clip(lines.collect(), VERDICT_LINES)
}

/// Where the report is, and how to see every figure.
fn places(report: &Path) -> Vec<String> {
    let results = report.parent().unwrap_or(report);
    vec![
        format!(
            "all tables: isobench report --format table {}",
            results.display()
        ),
        format!("report: {}", report.display()),
    ]
}

/// A heading, bold on a terminal that shows such.
pub(super) fn heading(text: &str, style: Style) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Styled => format!("\u{1b}[1m{text}\u{1b}[0m"),
    }
}

#[cfg(test)]
mod tests;
