//! The harness: targets, experiments, host inspection and the `isobench` command.
//!
//! The folders stand in layers; each knows only those below it:
//!
//! - [`commands`]: one file a subcommand of `isobench`, and their arguments.
//! - [`suite`]: one run: the plan, the runner, when to stop, what is written.
//! - [`experiments`]: what is measured, one experiment a file.
//! - [`timing`]: the user's own commands, and the roots that they run in.
//! - [`targets`]: the ways to isolate: rungs, floors, peers.
//! - [`launchers`]: what the launchers' mains share.
//! - [`instance`]: one started command: its command line, streams, marks and end.
//! - [`host`]: this machine: its facts, cgroups, clocks, signals and settings.
//! - [`streams`]: what is printed, and what if it can't be.
//! - [`toml_file`]: files of the user in TOML.
//! - [`values`]: how times and percentages are written on the command line.

pub mod commands;
pub mod experiments;
pub mod host;
pub mod instance;
pub mod launchers;
pub mod streams;
pub mod suite;
pub mod targets;
pub mod timing;
pub mod toml_file;
pub mod values;
