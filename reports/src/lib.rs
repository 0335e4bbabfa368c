//! The results schema, its statistics, and everything drawn from it.
//!
//! A [`Run`](model::Run) is what was measured. [`Summary`](summary::Summary) is what it says: a median with
//! its interval per target and metric, or the reason for which there is none. The terminal's table
//! ([`render_table`]) and the report ([`render_html`]) are drawn from the summary, the CSV file
//! ([`write_csv`]) from the run itself. [`Output`] writes all files of a run, [`read_results`] reads one
//! back.
//!
//! Nothing here knows how a number was made, so a results file can be redrawn on a machine that could not
//! have measured it.

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
pub use export::formats::{Format, FormatError, render_changes, render_figures};
pub use export::html::{ReportError, ReportOptions, render as render_html};
pub use export::json::{Inconsistency, ResultsError, read as read_results};
pub use export::plots::{Plot, PlotError, plots};
pub use terminal::comparison::render as render_comparison;
pub use terminal::screen::render as render_screen;
pub use terminal::tables::render as render_tables;
pub use terminal::{Style, TerminalOptions};
pub use words::{Language, units};
