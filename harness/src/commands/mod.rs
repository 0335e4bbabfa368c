//! One file a subcommand.

pub mod compare;
pub mod doctor;
pub mod exec;
mod exec_image;
pub mod image;
pub mod kernel;
pub mod report;
pub mod run;
