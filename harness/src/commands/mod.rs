//! One file a subcommand.

pub mod compare;
pub mod doctor;
pub mod exec;
pub mod report;
pub mod run;
