//! The harness: targets, experiments, host inspection and the `isobench` command.

pub mod marks;
