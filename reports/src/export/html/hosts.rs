//! Several runs in one document: for each experiment a table of its leading figures, with a row per
//! target and a column per run.

use super::cell::{self, CellView};
use super::table::{RowView, TableView, place, title};
use crate::chart::theme;
use crate::figures::summary::{Column, Section, Summary};
use crate::model::Target;
use crate::words::Words;

/// One experiment over all runs.
pub struct HostsView {
    pub title: String,
    pub table: TableView,
}

/// A table for each experiment that has a leading figure in any run.
pub fn compare(summaries: &[Summary<'_>], words: &Words) -> Vec<HostsView> {
    let mut names: Vec<&str> = Vec::new();
    for section in summaries.iter().flat_map(|summary| &summary.sections) {
        let has_figures = section.leading().is_some_and(Column::has_figures);
        if has_figures && !names.contains(&section.experiment.name.as_str()) {
            names.push(&section.experiment.name);
        }
    }
    let views = names
        .into_iter()
        .filter_map(|name| view(summaries, name, words));
    views.collect()
}

fn view(summaries: &[Summary<'_>], name: &str, words: &Words) -> Option<HostsView> {
    let columns: Vec<_> = summaries
        .iter()
        .map(|summary| summary.section(name).and_then(Section::leading))
        .collect();
    let metric = columns.iter().flatten().next()?.metric;
    let titles: Vec<String> = (1..=summaries.len())
        .map(|number| words.say("hosts.run", &[("number", &number)]))
        .collect();
    let mut rows: Vec<RowView> = Vec::new();
    for summary in summaries {
        for target in &summary.run.targets {
            let known = rows.iter().any(|row| row.name == target.name);
            if !known && is_measured(&columns, &target.name) {
                let ink = theme::ink_of(summary.run, target).name();
                rows.push(row(target, ink, &columns, &titles, words));
            }
        }
    }
    Some(HostsView {
        title: format!("{}: {}", title(name, words), metric.title),
        table: TableView {
            columns: titles,
            rows,
        },
    })
}

fn is_measured(columns: &[Option<&Column<'_>>], target: &str) -> bool {
    let mut columns = columns.iter().flatten();
    columns.any(|column| column.figure_of(target).is_some())
}

fn row(
    target: &Target,
    ink: String,
    columns: &[Option<&Column<'_>>],
    titles: &[String],
    words: &Words,
) -> RowView {
    let cell = |(column, title): (Option<&Column<'_>>, &String)| {
        let found = column.and_then(|column| {
            let mut cells = column.cells.iter();
            Some((column, cells.find(|cell| cell.target.name == target.name)?))
        });
        match found {
            Some((column, cell)) => cell::view(title, column, cell, words),
            None => CellView {
                column: title.clone(),
                value: None,
                missing: words.text("cell.not-measured").to_owned(),
                reason: String::new(),
            },
        }
    };
    RowView {
        ink,
        name: target.name.clone(),
        place: place(target, words),
        description: String::new(),
        cells: columns.iter().copied().zip(titles).map(cell).collect(),
    }
}
