//! Tables of figures, with a row per target and a column per metric.

use super::cell::{self, CellView};
use crate::chart::theme;
use crate::figures::summary::{Column, Section, Summary};
use crate::model::{Target, TargetKind};
use crate::schema::time;
use crate::words::{Words, capital};

/// A table with a row per target and a column per metric.
pub struct TableView {
    pub columns: Vec<String>,
    pub rows: Vec<RowView>,
}

/// A target with its figures.
pub struct RowView {
    pub ink: String,
    pub name: String,
    pub place: String,
    pub description: String,
    pub cells: Vec<CellView>,
}

/// The column that stands for an experiment, with its heading.
pub fn leading<'a, 'b>(
    section: &'b Section<'a>,
    words: &Words,
) -> Option<(String, &'b Column<'a>)> {
    let column = section.leading()?;
    let title = title(&section.experiment.name, words);
    Some((format!("{title}: {}", column.metric.title), column))
}

/// The heading of an experiment: for a timed command, the command's name.
pub fn title(experiment: &str, words: &Words) -> String {
    match time::command(experiment) {
        Some(command) => command.to_owned(),
        None if time::is_time(experiment) => words.text("time.title").to_owned(),
        None => capital(experiment),
    }
}

/// A table of the targets for which `has_row` is true; `has_row` gets a target's place in the run.
pub fn table(
    summary: &Summary<'_>,
    columns: &[(String, &Column<'_>)],
    words: &Words,
    has_row: impl Fn(usize) -> bool,
) -> TableView {
    let run = summary.run;
    let row = |(index, target): (usize, &Target)| RowView {
        ink: theme::ink_of(run, target).name(),
        name: target.name.clone(),
        place: place(target, words),
        description: target.description.clone(),
        cells: columns
            .iter()
            .map(|(title, column)| cell::view(title, column, &column.cells[index], words))
            .collect(),
    };
    let targets = run.targets.iter().enumerate();
    TableView {
        columns: columns.iter().map(|(title, _)| title.clone()).collect(),
        rows: targets
            .filter(|(index, _)| has_row(*index))
            .map(row)
            .collect(),
    }
}

/// A target's place on the ladder, and the version of the runtime behind the target.
pub fn place(target: &Target, words: &Words) -> String {
    let kind = kind(target, words);
    let version = target.version.as_ref();
    version
        .map(|version| format!("{kind}, {version}"))
        .unwrap_or(kind)
}

/// A target's place on the ladder.
pub fn kind(target: &Target, words: &Words) -> String {
    match target.kind {
        TargetKind::Rung(rung) => words.say("place-of.rung", &[("rung", &rung)]),
        TargetKind::Floor => words.text("place-of.floor").to_owned(),
        TargetKind::Peer => words.text("place-of.peer").to_owned(),
    }
}
