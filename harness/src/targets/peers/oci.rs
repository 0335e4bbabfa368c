//! The OCI runtimes: one adapter, since they share a command line and a `config.json`.
//!
//! Each instance is a *bundle* of its own, a directory with its `config.json`, written ahead of any timing; the root file
//! system is one for all. The runtime's state is kept in the prepared directory, and goes with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use isobench_reports::model::{TargetKind, Unavailable};

use super::{
    DISK, FILES, Program, needs_root, oci_config, path_variable, prepare_layer, runtime_mounts,
    stray_cgroups,
};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::CommandLine;
use crate::instance::command_line::Leftovers;
use crate::targets::{Launch, Target};

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
    description: &'static str,
    differences: &'static [&'static str],
    quick: bool,
    /// Flags before the command.
    flags: &'static [&'static str],
    /// Whether it is youki, which insists on a `PATH` in the container's environment and misses the end of a program
    /// that is over before it listens for `SIGCHLD`: 10 starts of 25 hung.
    is_youki: bool,
    program: Program,
    mounts: OnceLock<MountNamespace>,
    instances: AtomicU64,
}

impl Runtime {
    fn new(
        program: Program,
        description: &'static str,
        differences: &'static [&'static str],
    ) -> Self {
        Self {
            description,
            differences,
            quick: true,
            flags: &[],
            is_youki: false,
            program,
            mounts: OnceLock::new(),
            instances: AtomicU64::new(0),
        }
    }

    /// The runtime under podman, in C.
    pub fn crun() -> Self {
        Self::new(
            Program::new("crun", "install Debian's package `crun`"),
            "crun, podman's runtime: an OCI bundle with the container's namespaces, mounts and seccomp policy.",
            differences!["the loopback interface is up"],
        )
    }

    /// The runtime under docker and containerd, in Go.
    pub fn runc() -> Self {
        Self::new(
            Program::new("runc", "install Debian's package `runc`"),
            "runc, docker's runtime: an OCI bundle with the container's namespaces, mounts and seccomp policy.",
            differences!["the loopback interface is up"],
        )
    }

    /// A runtime in Rust.
    pub fn youki() -> Self {
        Self {
            is_youki: true,
            ..Self::new(
                Program::new("youki", YOUKI),
                "youki, a runtime in Rust: an OCI bundle with the container's namespaces, mounts and seccomp policy.",
                differences![
                    "the program's environment has a PATH, which youki insists on",
                    "built without its feature `seccomp`, which it doesn't tell, it filters no system calls",
                    "started with SIGCHLD blocked: youki 0.7 misses the end of a program that is over too soon, and hangs",
                ],
            )
        }
    }

    /// gVisor.
    pub fn runsc() -> Self {
        Self {
            quick: false,
            flags: &["--ignore-cgroups", "--network=none", "--platform=ptrace"],
            ..Self::new(
                Program::new("runsc", "install Debian's package `runsc`"),
                "gVisor's runsc: a kernel in user space serves every system call of the program.",
                &[
                    "a kernel of its own in user space; system calls reach it by ptrace, its slowest platform, which runs everywhere",
                    "no system-call policy: gVisor 2022 reads one only if told to, and then refuses threads",
                    "no cgroup of its own (--ignore-cgroups: its Debian build fails on a hybrid host)",
                    "a read-only directory as root, served by a second process: no overlayfs",
                ],
            )
        }
    }

    /// The runtime with its state in `root`, up to its command.
    fn base(&self, root: &Path) -> CommandLine {
        let mut command = CommandLine::new(self.program.path())
            .args(["--root".into(), root.join("state")])
            .args(self.flags);
        command.environment = path_variable();
        command.mounts = self.mounts.get().cloned();
        command
    }
}

impl Target for Runtime {
    fn name(&self) -> &'static str {
        self.program.name
    }

    fn description(&self) -> &'static str {
        self.description
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        self.differences
    }

    fn is_quick(&self) -> bool {
        self.quick
    }

    fn limits_memory(&self) -> bool {
        // gVisor, told to ignore cgroups, ignores the limit too.
        self.quick
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| needs_root(self.name(), host))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        prepare_layer(program, root, &["proc", "dev"])?;
        fs::create_dir(root.join("state"))?;
        let mounts = runtime_mounts()?;
        self.mounts.get_or_init(|| mounts);
        Ok(())
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn files_path(&self, _: &Path) -> Option<PathBuf> {
        Some(FILES.into())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let number = self.instances.fetch_add(1, Ordering::Relaxed);
        let id = format!("isobench-{number}");
        let bundle = launch.root.join(format!("bundle-{number}"));
        fs::create_dir(&bundle)?;
        let config = oci_config::config(launch, self.is_youki)?;
        config
            .save(bundle.join("config.json"))
            .map_err(io::Error::other)?;
        let delete = self.base(launch.root).args(["delete", "--force", &id]);
        let mut command = self
            .base(launch.root)
            .args(["run", "--bundle"])
            .args([&bundle])
            .args([&id]);
        command.holds_sigchld = self.is_youki;
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            directory: Some(bundle),
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command)
    }
}
