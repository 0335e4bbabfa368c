//! The steps in which a container's first process sets itself up, and the failure of a step.

use nix::errno::Errno;
use strum::FromRepr;

/// What the first process was doing. The discriminant is the step's byte in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[cfg_attr(test, derive(strum::VariantArray))]
#[repr(u8)]
pub enum SetupStep {
    /// Receiving an order from the launcher.
    Handshake = 1,
    /// Having inherited descriptors closed.
    Descriptors,
    /// Becoming root of the user namespace.
    Identity,
    /// Asking the kernel for death with the launcher.
    DieWithLauncher,
    /// Cutting the mounts off from the host's.
    PrivateMounts,
    /// Mounting the directory in which the root is assembled.
    Scratch,
    /// Attaching a layer.
    Layer,
    /// Mounting overlayfs over the layers.
    Overlay,
    /// Binding a top-level entry of a layer, where overlayfs is refused.
    Entry,
    /// Mounting /proc.
    Proc,
    /// Covering what /proc tells of the host.
    Masks,
    /// Binding a device into /dev.
    Device,
    /// Mounting devpts, and binding the launcher's own terminal.
    Terminals,
    /// Binding a directory or file that the user asked for.
    Bind,
    /// Making the place for such a bind in the container.
    BindTarget,
    /// Joining a cgroup.
    JoinCgroup,
    /// Making the cgroup namespace.
    CgroupNamespace,
    /// Showing the container its own cgroups.
    ShowCgroups,
    /// Making the assembled root the root.
    PivotRoot,
    /// Going to the directory where the program starts.
    WorkingDirectory,
    /// Setting the host name.
    Hostname,
    /// Becoming the user that the program runs as.
    User,
    /// Dropping the capabilities.
    Capabilities,
    /// Installing the system-call filter.
    Seccomp,
    /// Making the program's process.
    Spawn,
    /// Executing the program.
    Execute,
    /// Executing the program, which exists, through its interpreter or dynamic linker, which does
    /// not.
    Interpreter,
    /// Bringing the network up.
    Network,
}

/// A step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetupFailure {
    /// The step.
    pub step: SetupStep,
    /// The number of the layer, bind, device, entry or cgroup that the step failed for, from 0.
    pub index: u8,
    /// The kernel's reason.
    pub errno: Errno,
}

impl SetupFailure {
    /// For `map_err`: turns an error number into the failure of `step`.
    pub fn at(step: SetupStep) -> impl Fn(Errno) -> Self {
        Self::at_item(step, 0)
    }

    /// For `map_err`: turns an error number into the failure of `step` for item number `index`.
    pub fn at_item(step: SetupStep, index: usize) -> impl Fn(Errno) -> Self {
        move |errno| Self {
            step,
            index: u8::try_from(index).unwrap_or(u8::MAX),
            errno,
        }
    }
}
