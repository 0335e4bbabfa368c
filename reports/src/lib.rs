//! The results schema, its statistics, and everything drawn from it.
//!
//! A [`Run`](model::Run) is what was measured. [`Summary`](summary::Summary) is what it says: a median with its interval per target and metric, or the
//! reason for which there is none. The terminal's table and the HTML report are drawn from the summary, the CSV file from the run itself.
//! Nothing here knows how a number was made, so a results file can be redrawn on a machine that could not have measured it.

pub mod chart;
pub mod export;
pub mod model;
pub mod parts;
pub mod statistics;
pub mod summary;
pub mod table;
pub mod units;

mod text;

#[cfg(test)]
mod fixture;
