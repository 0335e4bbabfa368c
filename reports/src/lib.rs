//! The schema of results files, the statistics of their samples, and everything that is drawn from
//! them.
//!
//! A [`Run`](model::Run) is what was measured. A [`Summary`](figures::summary::Summary) has the
//! figures of a run: for each target and metric a median with its interval, or the reason for which
//! there is none. The screen that a run ends with ([`render_screen`]), the tables
//! ([`render_tables`]) and the report ([`render_html`]) are drawn from the summary; the CSV file
//! ([`write_csv`]) is written from the run itself. [`Output`] writes all files of a run, and
//! [`read_results`] reads a results file, and [`read_foreign`] an export of hyperfine too.
//!
//! Nothing here knows how a number was made. So a results file can be redrawn on a machine that
//! could not have measured it.

pub mod budgets;
mod chart;
pub mod compare;
mod export;
pub mod figures;
mod findings;
pub mod model;
pub mod schema;
pub mod statistics;
mod terminal;
mod words;

#[cfg(test)]
mod fixture;

pub use export::csv::write as write_csv;
pub use export::files::{Output, ResultFiles, WriteError, write_new};
pub use export::formats::{FORMATS, Format, FormatError};
pub use export::html::{ReportError, ReportOptions, render as render_html};
pub use export::hyperfine::read as read_foreign;
pub use export::json::{Inconsistency, ResultsError, read as read_results};
pub use export::plots::{Plot, PlotError, plots};
pub use terminal::budgets::render as render_budgets;
pub use terminal::comparison::render as render_comparison;
pub use terminal::screen::render as render_screen;
pub use terminal::tables::render as render_tables;
pub use terminal::{Style, TerminalOptions};
pub use words::text::one_line;
pub use words::{Language, units};
