//! Targets: the ways to isolate that are compared.
//!
//! A target is *a command line that runs a program and passes its standard output through*. The
//! experiments know nothing else about a target, so isobench's own rungs and the peers are measured
//! by the same code.
//!
//! A target has two lives. A [`Target`] is described by its [`TargetInfo`] and can say whether this
//! host has it. [`Target::prepare`] turns it into a [`Prepared`] one: mounts, daemons and images are
//! there, instances can be started, and dropping the prepared target takes everything down.

pub mod bounds;
mod choice;
mod container;
mod floors;
pub mod guest;
mod info;
mod launch;
mod microvm_bare;
mod microvm_linux;
mod peers;
mod prepare;
mod process;
mod twin;

use std::fmt::Debug;
use std::io;

use isobench_reports::model::{Part, Unavailable};

use crate::host::facts::HostReport;
use crate::host::programs::Programs;
use crate::instance::command_line::CommandLine;

pub use choice::{UnknownTarget, choose};
pub use info::{Capability, MemoryLimit, Pace, Participation, Place, TargetInfo};
pub use launch::{DiskAccess, Launch, Marks};
pub use peers::Daemons;
pub use prepare::{Contents, Image, PrepareError, Setup};

/// A way to isolate, which can say whether this host has it.
pub trait Target: Debug {
    /// The target, described.
    fn info(&self) -> &TargetInfo;

    /// What this host has of the target.
    fn presence(&self, host: &HostReport) -> Presence;

    /// Makes everything that instances need: files, mounts, a daemon, an image. Nothing of that is
    /// timed.
    ///
    /// # Errors
    /// [`PrepareError`]; nothing is left behind.
    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError>;
}

/// A target whose instances can be started. Dropping it takes down what was prepared.
pub trait Prepared: Debug {
    /// The command line of one instance, with the files that this instance needs made.
    ///
    /// # Errors
    /// A file could not be made, or the launch holds what the target can't be told.
    fn command(&self, launch: &Launch) -> io::Result<CommandLine>;
}

/// What a host has of a target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Version of the runtime behind the target, where that isn't isobench itself.
    pub version: Option<String>,
    /// Why this host can't run the target, if so.
    pub unavailable: Option<Unavailable>,
}

impl Presence {
    /// A target that is a part of isobench, and runs unless the host lacks something.
    pub fn built_in(lacking: Option<Unavailable>) -> Self {
        Self {
            version: None,
            unavailable: lacking,
        }
    }
}

/// Every target that this build knows, in the order of the report: the ladder, its floors, the
/// peers.
pub fn all(programs: &Programs, daemons: Daemons) -> Vec<Box<dyn Target>> {
    let own: Vec<Box<dyn Target>> = vec![
        Box::new(process::Process::new()),
        Box::new(container::Container::new(&programs.container)),
        Box::new(microvm_bare::BareMicrovm::new(&programs.vmm)),
        Box::new(microvm_linux::LinuxMicrovm::new(&programs.vmm)),
        Box::new(floors::NamespaceFloor::new(&programs.floor)),
        Box::new(floors::KvmFloor::new(&programs.floor)),
    ];
    let peers = peers::all(programs, daemons);
    own.into_iter().chain(peers).collect()
}

/// The bare process once more, under the name of `process-twin`.
pub fn twin() -> Box<dyn Target> {
    Box::new(twin::Twin::new())
}

/// The names of `targets`, joined for a message.
pub fn names(targets: &[Box<dyn Target>]) -> String {
    let names: Vec<_> = targets.iter().map(|target| target.info().name).collect();
    names.join(", ")
}

/// A phase of a launcher's start.
fn phase(name: &str, explanation: &str) -> Part {
    Part {
        name: name.to_owned(),
        explanation: explanation.to_owned(),
        base: None,
    }
}
