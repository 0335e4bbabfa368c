//! The values of `--format`: tables for a terminal, and every format for other programs.

use std::sync::LazyLock;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use isobench_reports::compare::Comparison;
use isobench_reports::model::Run;
use isobench_reports::{FORMATS, Format, FormatError, render_tables};

use crate::commands::terminal::terminal_options;

/// A format of figures.
#[derive(Debug, Clone, Copy)]
pub enum FigureFormat {
    /// Every figure, in tables for a terminal.
    Table,
    /// A format for other programs.
    Program(Format),
}

impl FigureFormat {
    /// The figures of `runs` in this format, with ratios to `baseline`.
    ///
    /// # Errors
    /// The errors of [`Format::figures`].
    pub fn render(self, runs: &[Run], baseline: Option<&str>) -> Result<String, FormatError> {
        match self {
            Self::Table => {
                let tables = runs
                    .iter()
                    .map(|run| render_tables(run, baseline, terminal_options()));
                Ok(tables.collect::<Vec<_>>().join("\n"))
            }
            Self::Program(format) => format.figures(runs, baseline),
        }
    }
}

impl ValueEnum for FigureFormat {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<FigureFormat>> = LazyLock::new(|| {
            let programs = FORMATS.into_iter().map(FigureFormat::Program);
            std::iter::once(FigureFormat::Table)
                .chain(programs)
                .collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Table => {
                PossibleValue::new("table").help("Every figure, in tables for a terminal")
            }
            Self::Program(format) => possible_value(format),
        })
    }
}

/// A format of a comparison.
#[derive(Debug, Clone, Copy)]
pub struct ComparisonFormat(Format);

impl ComparisonFormat {
    /// The comparison in this format.
    ///
    /// # Errors
    /// The errors of [`Format::changes`].
    pub fn render(self, comparison: &Comparison<'_>) -> Result<String, FormatError> {
        self.0.changes(comparison)
    }
}

impl ValueEnum for ComparisonFormat {
    fn value_variants<'a>() -> &'a [Self] {
        static ALL: LazyLock<Vec<ComparisonFormat>> = LazyLock::new(|| {
            let formats = FORMATS.into_iter().filter(Format::has_changes);
            formats.map(ComparisonFormat).collect()
        });
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(possible_value(&self.0))
    }
}

fn possible_value(format: &Format) -> PossibleValue {
    PossibleValue::new(format.name).help(format.about)
}
