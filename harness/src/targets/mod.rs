//! Targets: the ways to isolate that are compared.
//!
//! A target is *a command line that runs a program and passes its standard output through*. The
//! experiments know nothing else about a target, so isobench's own rungs and the peers are measured
//! by the same code.
//!
//! A target has two lives. A [`Target`] has a description, its [`TargetInfo`], and tells whether
//! this host can run the target. [`Target::prepare`] makes mounts, daemons and images, and returns
//! a [`Prepared`] target, whose instances can be started. Dropping the prepared target removes all
//! that was made.

mod capability;
mod choice;
mod container;
mod floors;
pub mod guest;
mod info;
mod launch;
mod microvm_bare;
mod microvm_linux;
mod network_files;
mod overlay_roots;
mod peers;
mod prepare;
mod process;
pub mod resource_limits;
mod twin;
mod uml;

use std::fmt::Debug;
use std::io;

use isobench_reports::model::{Part, Unavailable};

use crate::host::facts::HostReport;
use crate::host::programs::Programs;
use crate::instance::command_line::CommandLine;

pub use capability::{Capabilities, Capability};
pub use choice::{UnknownTarget, choose};
pub use info::{InsidePath, MemoryLimit, Pace, Participation, TargetInfo, Text};
pub use launch::{Beginning, DiskAccess, Launch, Marks, Surroundings};
pub use peers::Daemons;
pub use prepare::{Contents, Image, PrepareContext, PrepareError};

/// A way to isolate programs.
pub trait Target: Debug {
    /// The target's description.
    fn info(&self) -> &TargetInfo;

    /// Whether the host can run the target, and with which version of the runtime.
    fn availability(&self, host: &HostReport) -> Availability;

    /// Makes everything that instances need: files, mounts, a daemon, an image. None of this work
    /// is timed.
    ///
    /// # Errors
    /// [`PrepareError`]. A failed preparation leaves nothing behind.
    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError>;
}

/// A target whose instances can be started. Dropping the value removes all that was prepared.
pub trait Prepared: Debug {
    /// Makes the files that one instance needs, and returns the instance's command line.
    ///
    /// # Errors
    /// A file could not be made, or the target's interface can't express the launch.
    fn command(&self, launch: &Launch) -> io::Result<CommandLine>;
}

/// Whether a host can run a target, and with which version of the runtime.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Availability {
    /// The version of the target's runtime; `None` if the runtime is isobench itself.
    pub version: Option<String>,
    /// Why this host can't run the target; `None` if the host can run it.
    pub unavailable: Option<Unavailable>,
}

impl Availability {
    /// The availability of a target that is a part of isobench. `unavailable` is what the host
    /// lacks.
    pub fn built_in(unavailable: Option<Unavailable>) -> Self {
        Self {
            version: None,
            unavailable,
        }
    }
}

/// All targets of this build in the order of the report: the ladder, its floors, the peers.
pub fn all(programs: &Programs, daemons: Daemons) -> Vec<Box<dyn Target>> {
    let own: Vec<Box<dyn Target>> = vec![
        Box::new(process::Process::new()),
        Box::new(container::Container::new(&programs.container)),
        Box::new(microvm_bare::BareMicrovm::new(&programs.vmm)),
        Box::new(uml::UserModeLinux::new(&programs.vmm)),
        Box::new(microvm_linux::LinuxMicrovm::new(&programs.vmm)),
        Box::new(floors::NamespaceFloor::new(&programs.floor)),
        Box::new(floors::KvmFloor::new(&programs.floor)),
    ];
    let peers = peers::all(programs, daemons);
    own.into_iter().chain(peers).collect()
}

/// The bare process once more, under the name `process-twin`.
pub fn twin() -> Box<dyn Target> {
    Box::new(twin::Twin::new())
}

/// The names of `targets` in one text, for a message.
pub fn names(targets: &[Box<dyn Target>]) -> String {
    let names: Vec<_> = targets.iter().map(|target| target.info().name).collect();
    names.join(", ")
}

/// The description of a phase of a launcher's start.
fn phase(name: &str, explanation: &str) -> Part {
    Part {
        name: name.to_owned(),
        explanation: explanation.to_owned(),
        base: None,
    }
}
