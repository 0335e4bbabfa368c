//! A failed step of the container's first process, in words, with what to do about it.

use std::path::PathBuf;

use nix::errno::Errno;

use super::error::LaunchError;
use crate::config::Spec;
use crate::isolation::root::devices;
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::mechanism::Mechanism;

/// The failure in words, with the path at which the step failed.
pub fn explain(failure: SetupFailure, spec: &Spec) -> LaunchError {
    let SetupFailure { step, errno, .. } = failure;
    LaunchError::Step {
        what: describe(failure, spec),
        errno,
        advice: advice(step, errno, spec),
    }
}

/// What could not be done.
fn describe(failure: SetupFailure, spec: &Spec) -> String {
    let index = usize::from(failure.index);
    let layer = || spec.layers.get(index).cloned().unwrap_or_default();
    let bind = || spec.binds.get(index).cloned();
    match failure.step {
        SetupStep::Handshake => "the container's first process lost its launcher".to_owned(),
        SetupStep::Descriptors => "cannot close inherited descriptors".to_owned(),
        SetupStep::Identity => "cannot become root of the user namespace".to_owned(),
        SetupStep::DieWithLauncher => {
            "cannot bind the container's life to the launcher's".to_owned()
        }
        SetupStep::PrivateMounts => "cannot make the mounts private".to_owned(),
        SetupStep::Scratch => match &spec.scratch {
            Some(path) => format!("cannot use the scratch directory {}", path.display()),
            None => "cannot mount a tmpfs for the root".to_owned(),
        },
        SetupStep::Layer => format!("cannot attach the layer {}", layer().display()),
        SetupStep::Overlay => format!("cannot mount overlayfs over {}", list(&spec.layers)),
        SetupStep::Entry => format!("cannot bind the entries of {}", list(&spec.layers)),
        SetupStep::Proc => "cannot mount /proc".to_owned(),
        SetupStep::Masks => "cannot cover what /proc tells of the host".to_owned(),
        SetupStep::Device => format!(
            "cannot bind {}",
            devices::host_path(index).to_string_lossy()
        ),
        SetupStep::Terminals => "cannot mount devpts or bind the terminal".to_owned(),
        SetupStep::Bind => bind().map_or_else(String::new, |bind| {
            format!("cannot bind {}", bind.source.display())
        }),
        SetupStep::BindTarget => bind().map_or_else(String::new, |bind| {
            format!("cannot make {} in the container", bind.target.display())
        }),
        SetupStep::JoinCgroup => format!("cannot join the cgroup {}", list(&spec.cgroups)),
        SetupStep::CgroupNamespace => "cannot make a cgroup namespace".to_owned(),
        SetupStep::ShowCgroups => "cannot mount the container's cgroups".to_owned(),
        SetupStep::PivotRoot => "cannot change the root".to_owned(),
        SetupStep::WorkingDirectory => {
            let directory = spec.working_directory.clone().unwrap_or_default();
            format!("cannot start in {} of the container", directory.display())
        }
        SetupStep::Hostname => "cannot set the host name".to_owned(),
        SetupStep::User => {
            let user = spec.user.clone().unwrap_or_default();
            format!("cannot become the user {user} of the container")
        }
        SetupStep::Capabilities => "cannot drop the capabilities".to_owned(),
        SetupStep::Seccomp => "cannot install the system-call filter".to_owned(),
        SetupStep::Network => "cannot set up the container's network".to_owned(),
        SetupStep::Spawn => "cannot make a process for the program".to_owned(),
        SetupStep::Execute | SetupStep::Interpreter => {
            format!("cannot run {} in the container", spec.program.display())
        }
    }
}

/// What to do about the failure; empty if nothing more is known.
fn advice(step: SetupStep, errno: Errno, spec: &Spec) -> &'static str {
    match (step, errno) {
        (SetupStep::Interpreter, _) => {
            "; the file exists, but the interpreter that it asks for does not: the dynamic linker \
             of a program, or what the first line of a script names"
        }
        (SetupStep::Execute, Errno::ENOENT) => {
            if spec.mechanisms.contains(Mechanism::Pivot) {
                "; no layer has the program"
            } else {
                "; without the mechanism pivot, the program is looked for on the host"
            }
        }
        (SetupStep::Execute, Errno::EACCES) => {
            "; the program is not executable for the container's user, who is another user outside"
        }
        (SetupStep::Execute, Errno::ENOEXEC) => {
            "; the file is no program for this machine; a script needs a first line such as #!/bin/sh"
        }
        (SetupStep::Overlay, Errno::ENODEV) => "; the kernel has no overlayfs: modprobe overlay",
        (SetupStep::Overlay, Errno::EPERM) => "; overlayfs in a user namespace needs Linux 5.11",
        (SetupStep::Layer | SetupStep::Bind | SetupStep::Entry, Errno::EINVAL) => {
            "; something is mounted below that must stay hidden"
        }
        (SetupStep::Proc, Errno::EPERM) => {
            "; the host's own /proc is partly hidden (is this an outer container?)"
        }
        (SetupStep::WorkingDirectory, Errno::EXDEV) => "; the directory leads out of the container",
        (SetupStep::User, Errno::EINVAL | Errno::EPERM) => {
            "; only root can start a container with more users than 0, and no id above 65535 is \
             mapped"
        }
        (SetupStep::Spawn, Errno::EAGAIN) => "; the limit on processes (--pids) is too low",
        _ => "",
    }
}

fn list(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    names.join(", ")
}
