//! A failed step of the container's first process, in words, with what to do about it.

use std::path::PathBuf;

use nix::errno::Errno;

use crate::config::Spec;
use crate::isolation::root;
use crate::launch::LaunchError;
use crate::launch::handshake::{Failure, Step};
use crate::mechanism::Mechanism;

/// The failure in words, with the path that it is about.
pub fn explain(failure: Failure, spec: &Spec) -> LaunchError {
    let Failure { step, index, errno } = failure;
    let index = usize::from(index);
    let layer = || spec.layers.get(index).cloned().unwrap_or_default();
    let bind = || spec.binds.get(index).cloned();
    let what = match step {
        Step::Handshake => "the container's first process lost its launcher".to_owned(),
        Step::Descriptors => "cannot close inherited descriptors".to_owned(),
        Step::Identity => "cannot become root of the user namespace".to_owned(),
        Step::DieWithLauncher => "cannot bind the container's life to the launcher's".to_owned(),
        Step::PrivateMounts => "cannot make the mounts private".to_owned(),
        Step::Scratch => match &spec.scratch {
            Some(path) => format!("cannot use the scratch directory {}", path.display()),
            None => "cannot mount a tmpfs for the root".to_owned(),
        },
        Step::Layer => format!("cannot attach the layer {}", layer().display()),
        Step::Overlay => format!("cannot mount overlayfs over {}", list(&spec.layers)),
        Step::Entry => format!("cannot bind the entries of {}", list(&spec.layers)),
        Step::Proc => "cannot mount /proc".to_owned(),
        Step::Masks => "cannot cover what /proc tells of the host".to_owned(),
        Step::Device => format!("cannot bind {}", root::device(index).to_string_lossy()),
        Step::Bind => bind().map_or_else(String::new, |bind| {
            format!("cannot bind {}", bind.source.display())
        }),
        Step::BindTarget => bind().map_or_else(String::new, |bind| {
            format!("cannot make {} in the container", bind.target.display())
        }),
        Step::JoinCgroup => format!("cannot join the cgroup {}", list(&spec.cgroups)),
        Step::CgroupNamespace => "cannot make a cgroup namespace".to_owned(),
        Step::PivotRoot => "cannot change the root".to_owned(),
        Step::WorkingDirectory => {
            let directory = spec.working_directory.clone().unwrap_or_default();
            format!("cannot start in {} of the container", directory.display())
        }
        Step::Hostname => "cannot set the host name".to_owned(),
        Step::User => {
            let user = spec.user.clone().unwrap_or_default();
            format!(
                "cannot become the user {}:{} of the container",
                user.uid, user.gid
            )
        }
        Step::Capabilities => "cannot drop the capabilities".to_owned(),
        Step::Seccomp => "cannot install the system-call filter".to_owned(),
        Step::Network => "cannot set up the container's network".to_owned(),
        Step::Spawn => "cannot make a process for the program".to_owned(),
        Step::Execute => format!("cannot run {} in the container", spec.program.display()),
    };
    LaunchError::Step {
        what,
        errno,
        advice: advice(
            step,
            errno,
            index,
            spec.mechanisms.contains(Mechanism::Pivot),
        ),
    }
}

fn advice(step: Step, errno: Errno, index: usize, pivots: bool) -> &'static str {
    match (step, errno) {
        (Step::Execute, Errno::ENOENT) if index == 1 => {
            "; it is there, but the dynamic linker it asks for is not: link it statically or add a layer that has it"
        }
        (Step::Execute, Errno::ENOENT) if pivots => "; it is in none of the layers",
        (Step::Execute, Errno::ENOENT) => "; without pivot it is looked for on the host",
        (Step::Execute, Errno::EACCES) => {
            "; it is not executable for its user in the container, who is another user outside"
        }
        (Step::Execute, Errno::ENOEXEC) => "; it is no program for this machine",
        (Step::Overlay, Errno::ENODEV) => "; the kernel has no overlayfs: modprobe overlay",
        (Step::Overlay, Errno::EPERM) => "; overlayfs in a user namespace needs Linux 5.11",
        (Step::Layer | Step::Bind | Step::Entry, Errno::EINVAL) => {
            "; something is mounted below it that must stay hidden"
        }
        (Step::Proc, Errno::EPERM) => {
            "; the host's own /proc is partly hidden (an outer container?)"
        }
        (Step::WorkingDirectory, Errno::EXDEV) => "; it leads out of the container",
        (Step::User, Errno::EINVAL | Errno::EPERM) => {
            "; only root can start a container with more users than 0, and no id above 65535 is mapped"
        }
        (Step::Spawn, Errno::EAGAIN) => "; the pids limit is too low",
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
