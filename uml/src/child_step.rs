//! The steps of the kernel's process before it executes the kernel, so that the launcher can say which
//! one failed.

use nix::errno::Errno;
use strum::FromRepr;

/// A step of the child before it executes the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr, strum::Display)]
#[repr(u8)]
pub enum ChildStep {
    /// The launcher writes the map of ids.
    #[strum(to_string = "waiting for its ids")]
    Ids = 1,
    /// The child asks to be ended with the launcher.
    #[strum(to_string = "asking to end with the launcher")]
    Death,
    /// The child has the host's kernel place its memory where it always is.
    #[strum(to_string = "switching address randomization off")]
    Personality,
    /// The child keeps to one processor.
    #[strum(to_string = "keeping to one processor")]
    Processor,
    /// The child cuts its mounts off from the host's.
    #[strum(to_string = "cutting its mounts off from the host's")]
    Mounts,
    /// The child makes its root.
    #[strum(to_string = "making its root")]
    Root,
    /// The child shows the host's libraries in its root.
    #[strum(to_string = "mounting the host's libraries")]
    Libraries,
    /// The child shows a disk in its root.
    #[strum(to_string = "mounting a disk's file")]
    Disk,
    /// The child shows the shared directory in its root.
    #[strum(to_string = "mounting the shared directory")]
    Shared,
    /// The child writes the guest's files.
    #[strum(to_string = "writing the guest's files")]
    Files,
    /// The child gives up its privileges.
    #[strum(to_string = "giving up privileges")]
    Privileges,
    /// The child sets up the descriptors of the kernel.
    #[strum(to_string = "setting up its descriptors")]
    Descriptors,
    /// The child executes the kernel.
    #[strum(to_string = "executing the kernel")]
    Execute,
}

impl ChildStep {
    /// The error of this step, from the host's answer.
    pub(crate) fn failed(self) -> impl FnOnce(Errno) -> ChildError {
        move |errno| ChildError { step: self, errno }
    }
}

/// A step of the child failed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChildError {
    pub(crate) step: ChildStep,
    pub(crate) errno: Errno,
}
