//! One file a subcommand.

pub mod doctor;
pub mod exec;
pub mod report;
pub mod run;
