//! The subcommands of `isobench`, one file each.

pub mod arguments;
mod budget_file;
pub mod compare;
pub mod doctor;
pub mod exec;
pub mod failure;
pub mod finished;
pub mod formats;
pub mod image;
pub mod kernel;
pub mod report;
pub mod run;
pub mod schema;
pub mod terminal;
pub mod time;
