//! Starting a container and waiting for its end.
//!
//! The launcher's side, in the order of a start:
//! - [`container`] goes through the steps;
//! - [`scratch`] and [`cgroups`] make what a container needs on disks and in cgroups;
//! - [`plan`] and [`root_plan`] prepare everything that the first process needs;
//! - [`channel`] is the launcher's end of the conversation with the first process;
//! - [`explain`] says a failure of the first process in words, as a [`LaunchError`];
//! - [`running`] is a container that runs, until its end.
//!
//! The side of the container's first process:
//! - [`first_process`] sets itself up, up to the start of the program by [`program`];
//! - [`init`] is what the first process does from then on.
//!
//! Both sides share the [`handshake`], the [`phase`]s that they report to an [`observer`], and
//! [`program_end`].

mod cgroups;
mod channel;
mod container;
mod error;
mod explain;
mod first_process;
mod handshake;
mod init;
mod observer;
mod phase;
mod plan;
mod program;
mod program_end;
mod root_plan;
mod running;
mod scratch;
mod signals;

pub use container::Container;
pub use error::LaunchError;
pub use observer::{NoObserver, PhaseObserver};
pub use phase::Phase;
pub use program_end::ProgramEnd;
pub use running::{Exited, Running, WaitError};
pub use signals::{BlockSignalsError, ForwardedSignals};
