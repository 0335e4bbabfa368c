//! The harness: targets, experiments, host inspection and the `isobench` command.
//!
//! The life of a sample: [`plan`] decides when it is taken, [`runner`] takes it by asking an [`experiment`],
//! which has a [`target`] give a command line, starts it as an [`instance`] in a cgroup of its own
//! ([`accounting`]), and turns what is seen of it into readings; [`suite`] puts it all together and hands the
//! results to `isobench-reports`.

pub mod accounting;
pub mod aside;
pub mod bench;
pub mod bounds;
pub mod cli;
pub mod commands;
pub mod cpu_time;
pub mod experiment;
pub mod failure;
pub mod goal;
pub mod guest_files;
pub mod host;
pub mod injection;
pub mod inspection;
pub mod instance;
pub mod instrument;
pub mod interrupt;
pub mod kernel;
pub mod launcher;
pub mod leftovers;
pub mod marks;
pub mod mounts;
pub mod output;
pub mod page_cache;
pub mod pin;
pub mod plan;
pub mod probe;
pub mod programs;
pub mod progress;
pub mod reap;
pub mod rig;
pub mod runner;
pub mod session;
pub mod spawn;
pub mod stop;
pub mod stream;
pub mod suite;
pub mod target;
pub mod tracer;
pub mod tune;
