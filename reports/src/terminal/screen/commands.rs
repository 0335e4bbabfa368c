//! The commands of a run of timed commands: for each a sentence, a table, and why targets differ.

use std::collections::BTreeMap;

use super::columns::{Drawn, table};
use super::ladder::{NAME, legend, texts};
use super::{FLUSH, explanation, heading};
use crate::figures::summary::{Cell, CellContent, Column, Section, Summary};
use crate::figures::tails::{self, TargetTail};
use crate::findings::timed;
use crate::model::{MetricFamily, TargetKind, Unit};
use crate::schema::{are_of_commands, time};
use crate::statistics::{Bounds, Series};
use crate::terminal::Style;
use crate::terminal::wrap::{Indent, clip, wrap};
use crate::words::Words;
use crate::words::text::one_line;
use crate::words::units;

/// Longest reason, in characters.
const REASON: usize = 300;

/// Most lines of a command's sentence, of its reasons, and of how to read the tables.
const SENTENCE_LINES: usize = 3;
const REASON_LINES: usize = 8;
const LEGEND_LINES: usize = 3;

/// What stands for a figure that there isn't.
const NONE: &str = "–";

/// The mark of a quantile that has no interval.
const UNSURE: &str = "?";

const INDENT: Indent<'_> = Indent {
    first: "  ",
    rest: "    ",
};

/// Whether the run is one of timed commands, and some command has a sentence.
pub fn has_sentence(summary: &Summary<'_>, words: &Words) -> bool {
    let mut sections = summary.sections.iter();
    are_of_commands(&summary.run.experiments)
        && sections.any(|section| sentence(summary, section, words).is_some())
}

/// A block for each command, as many as `height` lines hold, and how to read them.
pub fn lines(
    summary: &Summary<'_>,
    words: &Words,
    style: Style,
    width: usize,
    height: usize,
) -> Vec<String> {
    let sections = summary.sections.iter();
    let sections = sections.filter(|section| time::is_time(&section.experiment.name));
    let blocks = sections.map(|section| block(summary, section, words, style, width));
    let blocks: Vec<Vec<String>> = blocks.filter(|block| !block.is_empty()).collect();
    if blocks.is_empty() {
        return Vec::new();
    }
    let legend = clip(wrap(&how_to_read(summary), FLUSH, width), LEGEND_LINES);
    // The count of further commands, and a blank line before it and before the legend.
    let room = height.saturating_sub(legend.len() + 3);
    let mut lines = Vec::new();
    let mut told = 0;
    for block in &blocks {
        if told > 0 && lines.len() + 1 + block.len() > room {
            break;
        }
        lines.extend((told > 0).then(String::new));
        lines.extend(clip(block.clone(), room));
        told += 1;
    }
    let rest = blocks.len() - told;
    let below = (rest > 0).then(|| format!("and {rest} more in the report"));
    let below: Vec<String> = below.into_iter().chain(legend).collect();
    lines.extend((!below.is_empty()).then(String::new));
    lines.extend(below);
    lines
}

fn sentence(summary: &Summary<'_>, section: &Section<'_>, words: &Words) -> Option<String> {
    timed::sentence(section, summary.baseline?, words)
}

/// One command: its name, its sentence, its table, and why targets have no figures.
fn block(
    summary: &Summary<'_>,
    section: &Section<'_>,
    words: &Words,
    style: Style,
    width: usize,
) -> Vec<String> {
    let Some(column) = section.leading() else {
        return Vec::new();
    };
    let told = sentence(summary, section, words);
    let name = time::command(&section.experiment.name);
    // A command without a sentence is told by its command line.
    let line = section.experiment.command.as_deref();
    let line = line.filter(|_| told.is_none());
    let title = [name, line].into_iter().flatten().collect::<Vec<_>>();
    let mut lines = Vec::new();
    if !title.is_empty() {
        lines.push(heading(&one_line(&title.join(": "), width), style));
    }
    let told = wrap(&told.unwrap_or_default(), FLUSH, width);
    lines.extend(clip(told, SENTENCE_LINES));
    let targets = &summary.run.targets;
    let is_shown =
        |row: &usize| targets[*row].kind != TargetKind::Floor && column.cells[*row].was_tried();
    let rows: Vec<usize> = (0..targets.len()).filter(is_shown).collect();
    let names = rows.iter().map(|row| one_line(&targets[*row].name, NAME));
    // Where nothing succeeded, the reasons say all.
    if column.has_figures() {
        let columns = columns(summary, section, column, &rows);
        lines.extend(table(&names.collect::<Vec<_>>(), columns, style, width));
    }
    let reasons = reasons(column).into_iter();
    let reasons = reasons.flat_map(|reason| wrap(&reason, INDENT, width));
    lines.extend(clip(reasons.collect(), REASON_LINES));
    lines.extend(explanation::lines(summary, section, style, width));
    lines
}

/// The columns of a command's table, the most important first.
fn columns(
    summary: &Summary<'_>,
    section: &Section<'_>,
    column: &Column<'_>,
    rows: &[usize],
) -> Vec<Drawn> {
    let found = tails::of_column(summary, section, column);
    let tail = |row: usize| found.iter().find(|tail| tail.index == row);
    let drawn = |title: &str, text: &dyn Fn(usize) -> [String; 2]| Drawn {
        title: title.to_owned(),
        texts: rows.iter().map(|row| text(*row)).collect(),
    };
    let alone = |text: Option<String>| [text.unwrap_or_else(|| NONE.to_owned()), String::new()];
    let peak = section.column(time::PEAK);
    let peak = |row: usize| Some(peak?.cells[row].figure()?.median);
    let title = match column.metric.family {
        MetricFamily::StartTime => "until ready",
        _ => "time",
    };
    vec![
        drawn(title, &|row| texts(column, &column.cells[row])),
        drawn("p95", &|row| tail(row).map_or(alone(None), p95)),
        drawn("user+sys", &|row| {
            let value = processor_time(section, row);
            alone(value.map(|value| units::value(Unit::Nanoseconds, value)))
        }),
        drawn("peak memory", &|row| {
            alone(peak(row).map(|value| units::value(Unit::Bytes, value)))
        }),
        drawn("success", &|row| {
            alone(tail(row).map(|tail| units::share(tail.success.share)))
        }),
    ]
}

/// The 95th percentile, marked if it has no interval.
fn p95(tail: &TargetTail<'_>) -> [String; 2] {
    let Some(p95) = tail.p95 else {
        return [NONE.to_owned(), String::new()];
    };
    let mark = match p95.bounds {
        Bounds::Within(_) => "",
        Bounds::Needs(_) | Bounds::NeedsRounds => UNSURE,
    };
    let value = units::value(Unit::Nanoseconds, p95.value);
    [value, mark.to_owned()]
}

/// The median of the user and system time together, in nanoseconds.
fn processor_time(section: &Section<'_>, row: usize) -> Option<f64> {
    let of = |metric| Some(&section.column(metric)?.cells[row].figure()?.series);
    let (user, system) = (of(time::USER)?, of(time::SYSTEM)?);
    let sum = |round: u32| {
        let both = user.of_round(round).iter().zip(system.of_round(round));
        both.map(move |(user, system)| (round, user + system))
    };
    Series::new(user.rounds().flat_map(sum)).median()
}

/// Why targets have not all of their samples or no figure, a sentence each. A target that the host
/// can't run at all has its sentence elsewhere.
fn reasons(column: &Column<'_>) -> Vec<String> {
    let mut unable: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let cells = column.cells.iter();
    for cell in cells
        .clone()
        .filter(|cell| cell.target.unavailable.is_none())
    {
        if let CellContent::Unavailable(reason) = cell.content {
            unable.entry(reason).or_default().push(&cell.target.name);
        }
    }
    let unable = unable.into_iter().map(|(reason, targets)| {
        let targets = targets.iter().map(|name| one_line(name, NAME));
        let targets = targets.collect::<Vec<_>>().join(", ");
        format!("{targets}: not run: {}", one_line(reason, REASON))
    });
    cells.flat_map(failed).chain(unable).collect()
}

fn failed(cell: &Cell<'_>) -> Vec<String> {
    let name = one_line(&cell.target.name, NAME);
    let failures = cell.failures.iter().map(|failure| {
        let reason = one_line(failure.reason, REASON);
        match failure.count {
            1 => format!("{name}: 1 sample failed: {reason}"),
            count => format!("{name}: {count} samples failed: {reason}"),
        }
    });
    failures.collect()
}

/// How to read the tables; empty if there is none.
fn how_to_read(summary: &Summary<'_>) -> String {
    let sections = summary.sections.iter();
    let sections = sections.filter(|section| time::is_time(&section.experiment.name));
    let leading = sections.filter_map(|section| Some((section, section.leading()?)));
    let leading = leading.filter(|(_, column)| column.has_figures());
    if leading.clone().next().is_none() {
        return String::new();
    }
    let tails = leading.flat_map(|(section, column)| tails::of_column(summary, section, column));
    let bounds = tails.filter_map(|tail| Some(tail.p95?.bounds));
    let needs = bounds.filter_map(|bounds| match bounds {
        Bounds::Within(_) => None,
        Bounds::Needs(more) => Some(Some(more)),
        Bounds::NeedsRounds => Some(None),
    });
    let unsure = match needs.max() {
        None => String::new(),
        Some(None) => format!("; p95 {UNSURE}: it takes more rounds to be sure"),
        Some(Some(more)) => {
            format!("; p95 {UNSURE}: it takes up to {more} samples more to be sure")
        }
    };
    legend(summary) + &unsure
}
