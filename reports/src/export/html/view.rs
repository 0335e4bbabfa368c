//! The texts of a report in the order in which the template uses them.

use super::exercise::{self, QuestionView};
use super::explanation::ExplanationView;
use super::figure::FigureView;
use super::figures;
use super::first::FirstView;
use super::latency;
use super::plain::PlainTable;
use super::prices::PricesView;
use super::table::{TableView, leading, table, title};
use super::tails;
use super::tradeoff::TradeoffView;
use super::{ReportError, ReportOptions};
use crate::chart::{ChartError, evidence, theme};
use crate::figures::prices;
use crate::figures::summary::{Gap, Section, Summary};
use crate::findings::claims::{self, Card};
use crate::findings::conduct;
use crate::findings::doubts::{self, Doubt, RunDoubt};
use crate::findings::polled;
use crate::model::{Fact, Run, Target, Unit};
use crate::schema::are_of_commands;
use crate::words::Words;
use crate::words::units;

/// The most metrics beside each other in a table.
const ABREAST: usize = 4;

/// The section of a run.
pub struct RunView {
    pub id: String,
    pub host: String,
    pub stamp: Option<String>,
    /// The key of the text above the table of leading figures.
    pub ladder_method: &'static str,
    /// The key of the text that says what the stamp means for the figures.
    pub stamp_means: &'static str,
    pub questions: Vec<QuestionView>,
    pub first: FirstView,
    pub waterfalls: Vec<FigureView>,
    pub tradeoff: Option<TradeoffView>,
    pub claims: Vec<ClaimView>,
    pub about: Vec<(String, String)>,
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

/// The card of a claim.
pub struct ClaimView {
    pub card: Card,
    pub plots: Vec<String>,
}

/// The section of an experiment.
pub struct SectionView {
    pub id: String,
    pub experiment: String,
    pub title: String,
    pub command: Option<String>,
    pub method: String,
    pub figures: Vec<FigureView>,
    pub wanted: Option<String>,
    pub prices: Vec<PricesView>,
    pub tables: Vec<TableView>,
    pub polled: Vec<String>,
    pub tails: Vec<PlainTable>,
    pub explanation: Option<ExplanationView>,
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
    /// Puts a summary into words and charts.
    pub fn of(
        number: usize,
        summary: &Summary<'_>,
        options: ReportOptions<'_>,
        words: &Words,
    ) -> Result<Self, ReportError> {
        let run = summary.run;
        let id = format!("run-{number}");
        let doubts = doubts::of(summary);
        let sections = summary.sections.iter().enumerate();
        let failed = |experiment: &str| {
            let experiment = experiment.to_owned();
            |source| ReportError::Chart { experiment, source }
        };
        Ok(Self {
            tradeoff: TradeoffView::of(summary, words).map_err(failed("the trade-off"))?,
            host: run.host.summary.clone(),
            stamp: run.stamp(),
            ladder_method: if run.is_measured_elsewhere() {
                "page.elsewhere"
            } else {
                "ladder.method"
            },
            stamp_means: if run.is_measured_elsewhere() {
                "page.elsewhere"
            } else {
                "page.emulated"
            },
            questions: if options.exercise {
                exercise::questions(summary, words)
            } else {
                Vec::new()
            },
            claims: claims(summary, words).map_err(failed("the claims"))?,
            waterfalls: figures::waterfalls(summary, words).map_err(failed("the ladder"))?,
            first: FirstView::of(summary, options.baseline, &doubts, words),
            about: about(summary, words),
            partial: run.partial,
            injected: doubts
                .iter()
                .filter(|doubt| is_injected(doubt))
                .map(|doubt| doubt.tell(words))
                .collect(),
            warnings: warnings(run, &doubts, words),
            baseline: summary.baseline.map(|baseline| baseline.name.clone()),
            thin: summary.is_thin(),
            ladder: table(
                summary,
                &summary
                    .sections
                    .iter()
                    .filter_map(|section| leading(section, words))
                    .collect::<Vec<_>>(),
                words,
                |_| true,
            ),
            missing: missing(run),
            differences: differences(run),
            gaps: summary.gaps().iter().map(gap).collect(),
            sections: sections
                .map(|(index, section)| view(summary, section, (&id, index), words))
                .collect::<Result<_, _>>()?,
            facts: run.host.facts.clone(),
            id,
        })
    }
}

impl RunView {
    /// The section that has the figures of a card.
    pub fn section_of(&self, card: &Card) -> Option<&str> {
        let mut sections = self.sections.iter();
        let of = |section: &&SectionView| card.experiment == Some(section.experiment.as_str());
        sections.find(of).map(|section| section.id.as_str())
    }
}

/// The cards of all claims; none for a run of timed commands or of another program, which can't decide
/// any.
fn claims(summary: &Summary<'_>, words: &Words) -> Result<Vec<ClaimView>, ChartError> {
    if are_of_commands(&summary.run.experiments) || summary.run.is_measured_elsewhere() {
        return Ok(Vec::new());
    }
    let view = |card: Card| {
        let plots = evidence::render(summary.run, &card.figures)?;
        Ok(ClaimView { card, plots })
    };
    let cards = claims::cards(summary, words).into_iter();
    cards.map(view).collect()
}

/// Whether the doubt is about a delay that was added on purpose. A notice of its own tells such a
/// delay.
fn is_injected(doubt: &Doubt<'_>) -> bool {
    matches!(doubt, Doubt::Run(RunDoubt::Injected { .. }))
}

/// The doubts about the samples, and then the warnings about the host.
fn warnings(run: &Run, doubts: &[Doubt<'_>], words: &Words) -> Vec<String> {
    let doubts = doubts.iter().filter(|doubt| !is_injected(doubt));
    doubts
        .map(|doubt| doubt.tell(words))
        .chain(run.warnings.iter().cloned())
        .collect()
}

fn about(summary: &Summary<'_>, words: &Words) -> Vec<(String, String)> {
    let run = summary.run;
    let notes = conduct::notes(summary).into_iter();
    let seconds = units::value(Unit::Nanoseconds, run.duration_seconds * 1e9);
    let facts = [
        ("about.started", run.started.clone()),
        ("about.took", seconds),
        ("about.profile", run.profile.clone()),
        ("about.seed", run.seed.to_string()),
        ("about.version", run.version.clone()),
        ("about.samples", run.samples.len().to_string()),
    ];
    let facts = facts.map(|(name, value)| (words.text(name).to_owned(), value));
    let conduct = notes.map(|(subject, note)| {
        let known = words.find(&format!("note.{}", subject.replace(' ', "-")));
        (known.unwrap_or(subject).to_owned(), note)
    });
    facts.into_iter().chain(conduct).collect()
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
    (run, index): (&str, usize),
    words: &Words,
) -> Result<SectionView, ReportError> {
    let name = &section.experiment.name;
    let columns: Vec<_> = section
        .columns
        .iter()
        .map(|column| (column.metric.title.clone(), column))
        .collect();
    let lists = prices::lists(summary.run, section.experiment);
    // A price list takes the place of the tables: targets without prices have no samples in such an
    // experiment.
    let tabled = if lists.is_empty() { &columns[..] } else { &[] };
    Ok(SectionView {
        id: format!("{run}-{index}"),
        experiment: name.clone(),
        title: title(&section.experiment.name, words),
        command: section.experiment.command.clone(),
        method: section.experiment.method.clone(),
        figures: figures::draw(summary, section, words).map_err(|source| ReportError::Chart {
            experiment: name.clone(),
            source,
        })?,
        wanted: latency::wanted(summary.run, section, words).map(str::to_owned),
        prices: lists
            .iter()
            .map(|list| PricesView::of(list, words))
            .collect(),
        tables: tabled
            .chunks(ABREAST)
            .map(|columns| table(summary, columns, words, |index| section.was_tried(index)))
            .collect(),
        polled: polled::notes(section, words),
        tails: tails::tables(summary, section, words),
        explanation: ExplanationView::of(summary, section, words),
    })
}
