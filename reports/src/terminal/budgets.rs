//! Budgets and how they came out, for a terminal.

use comfy_table::presets::NOTHING;
use comfy_table::{Attribute, Cell, Color};

use super::tables::table;
use super::{TerminalOptions, fit};
use crate::budgets::{Judgement, Measured, MeasuredKind, Outlook, Verdict};
use crate::words::units;

/// Draws a line for each budget, and the number of each verdict.
pub fn render(judgements: &[Judgement<'_>], options: TerminalOptions) -> String {
    let options = options.with_room();
    let mut table = table(options);
    table.load_style(NOTHING);
    for judgement in judgements {
        let text = format!("{}: {}", judgement.budget, outcome(judgement));
        table.add_row([verdict(judgement.verdict), Cell::new(text)]);
    }
    let count = |verdict| {
        let same = judgements.iter().filter(|one| one.verdict == verdict);
        format!("{} {}", same.count(), word(verdict))
    };
    let counts = [Verdict::Kept, Verdict::Broken, Verdict::Undecided].map(count);
    let subject = Cell::new("in all").add_attribute(Attribute::Bold);
    table.add_row([subject, Cell::new(counts.join(", "))]);
    for column in table.column_iter_mut().take(1) {
        column.set_padding((0, 1));
    }
    fit::text(table, options) + "\n"
}

const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Kept => "kept",
        Verdict::Broken => "broken",
        Verdict::Undecided => "undecided",
    }
}

fn verdict(verdict: Verdict) -> Cell {
    let color = match verdict {
        Verdict::Kept => Color::Green,
        Verdict::Broken => Color::Red,
        Verdict::Undecided => Color::Yellow,
    };
    Cell::new(word(verdict)).fg(color)
}

/// What was measured, and what it would take to decide.
fn outcome(judgement: &Judgement<'_>) -> String {
    let measured = measured(judgement.measured);
    let rounds = |more: u64| {
        let rounds = if more == 1 { "round" } else { "rounds" };
        match judgement.measured.kind {
            MeasuredKind::RatioToBase => format!("{more} more {rounds} of both runs"),
            MeasuredKind::Value(_) | MeasuredKind::RatioToTarget => format!("{more} more {rounds}"),
        }
    };
    match judgement.outlook {
        None => measured,
        Some(Outlook::Rounds(more)) => format!(
            "{measured}; some {} would decide if the value stays",
            rounds(more)
        ),
        Some(Outlook::RoundsForInterval(more)) => {
            let rounds = rounds(more);
            format!("{measured}; too few samples for an interval, which takes {rounds}")
        }
        Some(Outlook::Unknown) => format!("{measured}; nobody knows how many rounds would decide"),
    }
}

fn measured(measured: Measured) -> String {
    let Measured {
        kind,
        value,
        interval,
    } = measured;
    let (text, interval) = match kind {
        MeasuredKind::Value(unit) => (
            units::value(unit, value),
            interval.map(|interval| units::interval(unit, interval, value)),
        ),
        MeasuredKind::RatioToTarget => (
            units::ratio(value),
            interval
                .map(|ends| format!("{} to {}", units::ratio(ends.low), units::ratio(ends.high))),
        ),
        MeasuredKind::RatioToBase => {
            let percent = |ratio: f64| units::percent(ratio - 1.0);
            (
                format!("base {} %", percent(value)),
                interval.map(|ends| format!("{} to {} %", percent(ends.low), percent(ends.high))),
            )
        }
    };
    match interval {
        Some(interval) => format!("{text} ({interval})"),
        None => text,
    }
}
