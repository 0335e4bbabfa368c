//! Why the targets of a timed command differ: a table of terms, and what was counted.

use super::plain::{PlainRow, PlainTable};
use crate::chart::theme;
use crate::figures::explanation::{Counted, Explanation, Nanoseconds, TargetExplanation, Term};
use crate::figures::summary::{Section, Summary};
use crate::model::{Run, Unit};
use crate::schema::explain::{CALLS, EXITS};
use crate::words::units;
use crate::words::{Words, signed};

/// The most parts of a count that are named.
const NAMED: usize = 10;

/// Why the targets of a command differ, in words.
pub struct ExplanationView {
    pub method: String,
    /// Each target with its measured extra, the terms of the prediction, and what is left.
    pub terms: PlainTable,
    /// What is missing, and what the prediction assumes.
    pub notes: Vec<String>,
    /// What the command does, each count with its title.
    pub work: Vec<(String, String)>,
    /// The system calls and the VM exits of each target.
    pub host: PlainTable,
}

impl ExplanationView {
    /// Explains a section's command; nothing if the run doesn't explain it.
    pub fn of(summary: &Summary<'_>, section: &Section<'_>, words: &Words) -> Option<Self> {
        let explanation = &Explanation::of(summary, section)?;
        let until = if explanation.is_to_the_end {
            words.text("explain.until-end")
        } else {
            words.text("explain.until-ready")
        };
        let work = &explanation.work;
        let counts = [&work.calls, &work.faults, &work.tasks, &work.traffic];
        let told = |counted: &Counted<'_>| {
            let title = &counted.metric.title;
            (title.clone(), whole(counted, words))
        };
        Some(Self {
            method: words.say_one("explain.method", "until", until),
            terms: terms(summary.run, explanation, words),
            notes: notes(explanation, words),
            work: counts.into_iter().flatten().map(told).collect(),
            host: host(summary.run, explanation, words),
        })
    }
}

/// What a term is called.
fn term(term: Term, words: &Words) -> &str {
    match term {
        Term::Start => words.text("explain.start"),
        Term::SystemCalls => words.text("explain.calls"),
        Term::PageFaults => words.text("explain.faults"),
    }
}

fn terms(run: &Run, explanation: &Explanation<'_>, words: &Words) -> PlainTable {
    PlainTable {
        title: words.text("explain.title").to_owned(),
        columns: [
            words.text("explain.measured"),
            term(Term::Start, words),
            term(Term::SystemCalls, words),
            term(Term::PageFaults, words),
            words.text("explain.predicted"),
            words.text("explain.unexplained"),
        ]
        .map(str::to_owned)
        .into(),
        rows: rows(run, explanation, |target| texts(target, words)),
    }
}

/// A row for each target, with the cells that `cells` gives it.
fn rows<'e>(
    run: &Run,
    explanation: &'e Explanation<'_>,
    cells: impl Fn(&'e TargetExplanation<'_>) -> Vec<(String, Option<String>)>,
) -> Vec<PlainRow> {
    let row = |target: &'e TargetExplanation<'_>| PlainRow {
        ink: theme::ink_of(run, target.target).name(),
        name: target.target.name.clone(),
        cells: cells(target),
    };
    explanation.targets.iter().map(row).collect()
}

fn texts(target: &TargetExplanation<'_>, words: &Words) -> Vec<(String, Option<String>)> {
    let none = || words.text("cell.not-measured").to_owned();
    let time = |time: Option<Nanoseconds>| {
        let text = time.map(|time| signed(Unit::Nanoseconds, time.0));
        (text.unwrap_or_else(none), None)
    };
    let measured = target.measured;
    let interval = measured
        .interval
        .map(|interval| words.interval(Unit::Nanoseconds, interval, measured.extent().end));
    let measured = (signed(Unit::Nanoseconds, measured.value), interval);
    let terms = target.terms.iter().map(|(_, term)| time(*term));
    let sums = [target.predicted(), target.unexplained()].map(time);
    [measured].into_iter().chain(terms).chain(sums).collect()
}

fn notes(explanation: &Explanation<'_>, words: &Words) -> Vec<String> {
    let missing = |target: &TargetExplanation<'_>| {
        let terms = target
            .missing()
            .map(|missing| term(missing, words).to_owned());
        let terms: Vec<String> = terms.collect();
        let target = &target.target.name;
        (!terms.is_empty()).then(|| {
            let terms = words.list(&terms);
            words.say("explain.missing", &[("target", target), ("terms", &terms)])
        })
    };
    let missing = explanation.targets.iter().filter_map(missing);
    let count = explanation.price_samples;
    let assumptions = words.say_one("explain.assumptions", "count", count);
    missing.chain([assumptions]).collect()
}

/// The system calls and the VM exits of each target; the bare process has those of the command.
fn host(run: &Run, explanation: &Explanation<'_>, words: &Words) -> PlainTable {
    let count = |counted: &Option<Counted<'_>>| {
        let Some(counted) = counted else {
            return (words.text("cell.not-measured").to_owned(), None);
        };
        let total = units::value(counted.metric.unit, counted.total);
        (total, Some(parts(counted, words)))
    };
    let title = |name: &str, metric: &str| {
        let counts = explanation.targets.iter();
        let mut counts = counts
            .flat_map(|target| [&target.calls, &target.exits])
            .flatten();
        let found = counts.find(|counted| counted.metric.name == name);
        found.map_or_else(|| metric.to_owned(), |counted| counted.metric.title.clone())
    };
    PlainTable {
        title: words.text("explain.host").to_owned(),
        columns: [CALLS, EXITS]
            .map(|metric| title(metric.name, metric.title))
            .into(),
        rows: rows(run, explanation, |target| {
            [&target.calls, &target.exits].map(count).into()
        }),
    }
}

/// A count with its largest parts.
fn whole(counted: &Counted<'_>, words: &Words) -> String {
    let total = units::value(counted.metric.unit, counted.total);
    let parts = parts(counted, words);
    if parts.is_empty() {
        return total;
    }
    words.say("explain.counted", &[("total", &total), ("parts", &parts)])
}

fn parts(counted: &Counted<'_>, words: &Words) -> String {
    let unit = counted.metric.unit;
    let (named, others) = counted.largest(NAMED);
    let named = named.iter();
    let named = named.map(|(name, count)| format!("{name} {}", units::value(unit, *count)));
    let others = (others > 0.0).then(|| {
        let count = units::value(unit, others);
        words.say_one("explain.others", "count", count)
    });
    let parts: Vec<String> = named.chain(others).collect();
    parts.join(words.text("list.comma"))
}
