//! The summary as texts in the order in which the template puts them.

use super::ReportError;
use super::cell::{self, CellView};
use super::figures::{self, FigureView};
use super::headline;
use super::prices::PricesView;
use crate::chart::theme;
use crate::conduct;
use crate::guards::{self, Doubt, RunDoubt};
use crate::model::{EMULATED, Fact, Run, Target, TargetKind, Unit};
use crate::prices;
use crate::summary::{Column, Gap, Section, Summary};
use crate::units;

/// Most metrics that stand beside each other in a table.
const ABREAST: usize = 4;

/// A run.
pub struct RunView {
    pub id: String,
    pub host: String,
    pub stamp: Option<&'static str>,
    pub headline: String,
    pub findings: Vec<String>,
    pub about: Vec<(&'static str, String)>,
    pub partial: bool,
    pub injected: Vec<String>,
    pub warnings: Vec<String>,
    pub baseline: Option<String>,
    pub thin: bool,
    pub ladder: TableView,
    pub missing: Vec<MissingView>,
    pub differences: Vec<DifferencesView>,
    pub gaps: Vec<GapView>,
    pub sections: Vec<SectionView>,
    pub facts: Vec<Fact>,
}

/// An experiment.
pub struct SectionView {
    pub id: String,
    pub title: String,
    pub method: String,
    pub figures: Vec<FigureView>,
    pub prices: Vec<PricesView>,
    pub tables: Vec<TableView>,
}

/// Targets down, metrics across.
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

/// A target that the host can't run.
pub struct MissingView {
    pub ink: String,
    pub name: String,
    pub reason: String,
    pub fix: String,
}

/// What a peer does otherwise than the container.
pub struct DifferencesView {
    pub ink: String,
    pub name: String,
    pub sentences: Vec<String>,
}

/// Samples that a target lacks.
pub struct GapView {
    pub target: String,
    pub what: String,
}

impl RunView {
    /// Puts a summary into words and pictures; `baseline` was asked for by name.
    pub fn of(
        number: usize,
        summary: &Summary<'_>,
        baseline: Option<&str>,
    ) -> Result<Self, ReportError> {
        let run = summary.run;
        let id = format!("run-{number}");
        let doubts = guards::doubts(summary);
        let mut findings = headline::sentences(summary, baseline);
        let headline = findings.remove(0);
        let sections = summary.sections.iter().enumerate();
        Ok(Self {
            host: run.host.summary.clone(),
            stamp: run.host.is_emulated().then_some(EMULATED),
            headline,
            findings,
            about: about(summary),
            partial: run.partial,
            injected: doubts
                .iter()
                .filter(|doubt| is_injected(doubt))
                .map(ToString::to_string)
                .collect(),
            warnings: warnings(run, &doubts),
            baseline: summary.baseline.map(|baseline| baseline.name.clone()),
            thin: summary.is_thin(),
            ladder: table(
                summary,
                &summary
                    .sections
                    .iter()
                    .filter_map(leading)
                    .collect::<Vec<_>>(),
                |_| true,
            ),
            missing: missing(run),
            differences: differences(run),
            gaps: summary.gaps().iter().map(gap).collect(),
            sections: sections
                .map(|(index, section)| view(summary, section, &id, index))
                .collect::<Result<_, _>>()?,
            facts: run.host.facts.clone(),
            id,
        })
    }
}

/// What a delay added on purpose is told by: louder than a doubt.
fn is_injected(doubt: &Doubt<'_>) -> bool {
    matches!(doubt, Doubt::Run(RunDoubt::Injected { .. }))
}

/// Doubts about the data, and then those about the host.
fn warnings(run: &Run, doubts: &[Doubt<'_>]) -> Vec<String> {
    let doubts = doubts.iter().filter(|doubt| !is_injected(doubt));
    doubts
        .map(ToString::to_string)
        .chain(run.warnings.iter().cloned())
        .collect()
}

fn about(summary: &Summary<'_>) -> Vec<(&'static str, String)> {
    let run = summary.run;
    let notes = conduct::notes(summary).into_iter();
    let mut about = vec![
        ("Started", run.started.clone()),
        (
            "Took",
            units::value(Unit::Nanoseconds, run.duration_seconds * 1e9),
        ),
        ("Profile", run.profile.clone()),
        ("Seed", run.seed.to_string()),
        ("isobench", run.version.clone()),
        ("Samples", run.samples.len().to_string()),
    ];
    about.extend(notes.map(|(subject, note)| (titled(subject), note)));
    about
}

fn titled(subject: &'static str) -> &'static str {
    match subject {
        "stopped" => "Stopped",
        "noise floor" => "Noise floor",
        "instrument" => "Instrument",
        other => other,
    }
}

fn missing(run: &Run) -> Vec<MissingView> {
    let view = |target: &Target| {
        let unavailable = target.unavailable.clone()?;
        Some(MissingView {
            ink: theme::ink_of(run, target).name(),
            name: target.name.clone(),
            reason: unavailable.reason,
            fix: unavailable.fix,
        })
    };
    run.targets.iter().filter_map(view).collect()
}

fn differences(run: &Run) -> Vec<DifferencesView> {
    let measured = run.targets.iter().filter(|t| t.unavailable.is_none());
    let view = |target: &Target| DifferencesView {
        ink: theme::ink_of(run, target).name(),
        name: target.name.clone(),
        sentences: target.differences.clone(),
    };
    measured
        .filter(|target| !target.differences.is_empty())
        .map(view)
        .collect()
}

fn gap(gap: &Gap<'_>) -> GapView {
    GapView {
        target: gap.target.to_owned(),
        what: gap.to_string(),
    }
}

fn view(
    summary: &Summary<'_>,
    section: &Section<'_>,
    run: &str,
    index: usize,
) -> Result<SectionView, ReportError> {
    let name = &section.experiment.name;
    let columns: Vec<_> = section
        .columns
        .iter()
        .map(|column| (column.metric.title.clone(), column))
        .collect();
    let lists = prices::lists(summary.run, section.experiment);
    // Targets without prices have nothing in such an experiment, and those with them have their list.
    let tabled = if lists.is_empty() { &columns[..] } else { &[] };
    Ok(SectionView {
        id: format!("{run}-{index}"),
        title: headline::capital(name),
        method: section.experiment.method.clone(),
        figures: figures::draw(summary, section).map_err(|source| ReportError::Chart {
            experiment: name.clone(),
            source,
        })?,
        prices: lists.iter().map(PricesView::of).collect(),
        tables: tabled
            .chunks(ABREAST)
            .map(|columns| table(summary, columns, |index| summary.has_row(section, index)))
            .collect(),
    })
}

/// The column that stands for an experiment, with its heading.
fn leading<'a, 'b>(section: &'b Section<'a>) -> Option<(String, &'b Column<'a>)> {
    let column = section.leading()?;
    Some((
        format!(
            "{}: {}",
            headline::capital(&section.experiment.name),
            column.metric.title
        ),
        column,
    ))
}

fn table(
    summary: &Summary<'_>,
    columns: &[(String, &Column<'_>)],
    has_row: impl Fn(usize) -> bool,
) -> TableView {
    let run = summary.run;
    let row = |(index, target): (usize, &Target)| RowView {
        ink: theme::ink_of(run, target).name(),
        name: target.name.clone(),
        place: place(target),
        description: target.description.clone(),
        cells: columns
            .iter()
            .map(|(title, column)| cell::view(title, column, &column.cells[index]))
            .collect(),
    };
    TableView {
        columns: columns.iter().map(|(title, _)| title.clone()).collect(),
        rows: run
            .targets
            .iter()
            .enumerate()
            .filter(|(index, _)| has_row(*index))
            .map(row)
            .collect(),
    }
}

/// Where a target stands, and the version of the runtime behind it.
pub fn place(target: &Target) -> String {
    let kind = match target.kind {
        TargetKind::Rung(rung) => format!("rung {rung}"),
        TargetKind::Floor => "floor".to_owned(),
        TargetKind::Peer => "peer".to_owned(),
    };
    target
        .version
        .as_ref()
        .map(|version| format!("{kind}, {version}"))
        .unwrap_or(kind)
}
