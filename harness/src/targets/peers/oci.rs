//! The OCI runtimes: one adapter, since they share a command line and a `config.json`.
//!
//! Each instance is a *bundle* of its own, a directory with its `config.json`, written ahead of any
//! timing; the root file system is one for all. The runtime's state is kept in the target's
//! directory, and goes with it.

use std::fs;
use std::io;
use std::path::PathBuf;

use isobench_reports::model::TargetFamily;

use super::instance::{Counter, binding_peer, make_layer, runtime_mounts, stray_cgroups};
use super::oci_config::{self, PathVariable};
use super::program::{Program, Source, needs_root, path_variable};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::{
    Launch, MemoryLimit, Pace, PrepareError, Prepared, Presence, Setup, Target, TargetInfo,
};

/// What differs with every runtime that keeps to the `config.json`.
macro_rules! differences {
    ($($own:literal),* $(,)?) => {
        &[
            "a read-only directory as root: no overlayfs",
            "the program is PID 1: nobody in the container forwards signals and reaps orphans",
            "a cgroup in every hierarchy of cgroups v1, where isobench has memory and pids; the second hierarchy of a hybrid host is hidden from it",
            "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
            $($own),*
        ]
    };
}

/// What brings a youki that can be compared; Debian has no package of it.
const YOUKI: &str =
    "install Debian's package `libseccomp-dev`, then: cargo install youki --features v1,seccomp";

/// One runtime.
#[derive(Debug)]
pub struct Runtime {
    info: TargetInfo,
    program: Program,
    manner: Manner,
}

/// How a runtime is called.
#[derive(Debug, Clone, Copy)]
struct Manner {
    /// Flags before the command.
    flags: &'static [&'static str],
    /// What the program's environment must have.
    path: PathVariable,
    /// Whether the runtime starts with `SIGCHLD` blocked.
    sigchld: Sigchld,
}

/// How a runtime finds `SIGCHLD` when it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sigchld {
    /// As every program does.
    Usual,
    /// Blocked, so that a signal which comes before the runtime listens is kept.
    Blocked,
}

impl Manner {
    const USUAL: Self = Self {
        flags: &[],
        path: PathVariable::AsGiven,
        sigchld: Sigchld::Usual,
    };
}

/// The runtime under podman, in C.
pub fn crun() -> Runtime {
    Runtime::new(
        "crun",
        Source::Debian("crun"),
        "crun, podman's runtime: an OCI bundle with the container's namespaces, mounts and seccomp policy.",
        differences!["the loopback interface is up"],
    )
}

/// The runtime under docker and containerd, in Go.
pub fn runc() -> Runtime {
    Runtime::new(
        "runc",
        Source::Debian("runc"),
        "runc, docker's runtime: an OCI bundle with the container's namespaces, mounts and seccomp policy.",
        differences!["the loopback interface is up"],
    )
}

/// A runtime in Rust. It misses the end of a program that is over before youki listens for `SIGCHLD`:
/// 10 starts of 25 hung.
pub fn youki() -> Runtime {
    let usual = Runtime::new(
        "youki",
        Source::Elsewhere(YOUKI),
        "youki, a runtime in Rust: an OCI bundle with the container's namespaces, mounts and seccomp policy.",
        differences![
            "the program's environment has a PATH, which youki insists on",
            "built without its feature `seccomp`, which it doesn't tell, it filters no system calls",
            "started with SIGCHLD blocked: youki 0.7 misses the end of a program that is over too soon, and hangs",
        ],
    );
    Runtime {
        manner: Manner {
            path: PathVariable::Added,
            sigchld: Sigchld::Blocked,
            ..Manner::USUAL
        },
        ..usual
    }
}

/// gVisor. Told to ignore cgroups, it ignores a limit of memory too.
pub fn runsc() -> Runtime {
    let usual = Runtime::new(
        "runsc",
        Source::Debian("runsc"),
        "gVisor's runsc: a kernel in user space serves every system call of the program.",
        &[
            "a kernel of its own in user space; system calls reach it by ptrace, its slowest platform, which runs everywhere",
            "no system-call policy: gVisor 2022 reads one only if told to, and then refuses threads",
            "no cgroup of its own (--ignore-cgroups: its Debian build fails on a hybrid host)",
            "a read-only directory as root, served by a second process: no overlayfs",
        ],
    );
    Runtime {
        info: TargetInfo {
            family: TargetFamily::UserSpaceKernel,
            pace: Pace::Slow,
            memory_limit: None,
            ..usual.info
        },
        manner: Manner {
            flags: &["--ignore-cgroups", "--network=none", "--platform=ptrace"],
            ..Manner::USUAL
        },
        ..usual
    }
}

impl Runtime {
    fn new(
        name: &'static str,
        source: Source,
        description: &'static str,
        differences: &'static [&'static str],
    ) -> Self {
        Self {
            info: TargetInfo {
                differences,
                memory_limit: Some(MemoryLimit::Cgroup),
                ..binding_peer(name, description)
            },
            program: Program { name, source },
            manner: Manner::USUAL,
        }
    }
}

impl Target for Runtime {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, host: &HostReport) -> Presence {
        self.program.presence(|_| needs_root(self.info.name, host))
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = setup.program(self.info.name)?;
        let runtime = self.program.path()?;
        let bundles = setup.files(|directory| {
            let state = directory.join("state");
            fs::create_dir(&state)?;
            Ok(Bundles {
                runtime,
                manner: self.manner,
                layer: make_layer(program, directory, &["proc", "dev"])?,
                directory: directory.to_owned(),
                state,
                mounts: runtime_mounts()?,
                instances: Counter::default(),
            })
        })?;
        Ok(Box::new(bundles))
    }
}

/// Starts instances, each of a bundle of its own.
#[derive(Debug)]
struct Bundles {
    runtime: PathBuf,
    manner: Manner,
    directory: PathBuf,
    layer: PathBuf,
    state: PathBuf,
    mounts: MountNamespace,
    instances: Counter,
}

impl Bundles {
    /// The runtime with its state, up to its command.
    fn base(&self) -> CommandLine {
        let mut command = CommandLine::new(&self.runtime)
            .args(["--root".as_ref(), self.state.as_os_str()])
            .args(self.manner.flags);
        command.environment = path_variable();
        command.mounts = Some(self.mounts.clone());
        command
    }
}

impl Prepared for Bundles {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let number = self.instances.next();
        let id = format!("isobench-{number}");
        let bundle = self.directory.join(format!("bundle-{number}"));
        fs::create_dir(&bundle)?;
        oci_config::config(launch, &self.layer, self.manner.path)?
            .save(bundle.join("config.json"))
            .map_err(io::Error::other)?;
        let delete = self.base().args(["delete", "--force", &id]);
        let mut command = self
            .base()
            .args(["run", "--bundle"])
            .args([&bundle])
            .args([&id]);
        command.blocks_sigchld = self.manner.sigchld == Sigchld::Blocked;
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            directory: Some(bundle),
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command)
    }
}
