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
mod claims;
pub mod compare;
pub mod conduct;
pub mod density;
mod export;
pub mod guards;
pub mod isolation;
mod latency;
pub mod model;
pub mod parts;
pub mod prices;
mod quiet;
pub mod schema;
pub mod statistics;
pub mod summary;
mod table;
mod text;
pub mod units;
mod words;

#[cfg(test)]
mod fixture;

pub use export::csv::write as write_csv;
pub use export::files::{Output, ResultFiles, WriteError, write_new};
pub use export::format::{Format, FormatError, render_changes, render_figures};
pub use export::html::{ReportError, ReportOptions, render as render_html};
pub use export::json::{Inconsistency, ResultsError, read as read_results};
pub use export::plots::{Plot, PlotError, plots};
pub use table::{TableOptions, render as render_table};
pub use words::Language;
