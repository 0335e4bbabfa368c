//! The OCI runtimes. They have one adapter, because they share a command line and a `config.json`.
//!
//! Each instance has a *bundle* of its own, a directory with a `config.json` that is written before
//! the clock starts. All instances of a static program share one root directory. The runtime keeps
//! its state in the target's directory, which the run removes.

use std::fs;
use std::io;
use std::path::PathBuf;

use isobench_reports::model::TargetFamily;

use super::instance::{
    InstanceNames, LIBSECCOMP_DIFFERENCE, PROCESS_1_DIFFERENCE, container_peer, peer_cgroups,
    preserve_option, runtime_mounts,
};
use super::oci_config::{self, PathVariable};
use super::program::{Program, Source, needs_root, path_variable};
use super::roots::{Differences, OVERLAY_DIFFERENCE, Roots, differences};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::instance::endings::{AmbiguousCode, Endings, Process1};
use crate::targets::{
    Availability, Capabilities, Launch, MemoryLimit, Pace, PrepareContext, PrepareError, Prepared,
    Target, TargetInfo, Text,
};

/// The differences of every runtime that follows the `config.json`.
macro_rules! oci_differences {
    ($($own:literal),* $(,)?) => {
        differences!(
            ["a read-only directory as root: no overlayfs"],
            [OVERLAY_DIFFERENCE],
            [
                PROCESS_1_DIFFERENCE,
                "a cgroup in every hierarchy of cgroups v1, while isobench uses memory and pids \
                 alone; the second hierarchy of a hybrid host is hidden from the runtime",
                LIBSECCOMP_DIFFERENCE,
                $($own),*
            ],
        )
    };
}

/// How the user gets a youki that can be compared. Debian has no package of youki.
const YOUKI: &str =
    "install Debian's package `libseccomp-dev`, then: cargo install youki --features v1,seccomp";

/// The exit codes of youki 0.7 that mean a signal, too: those that can end process 1.
const YOUKI_SIGNALS: [AmbiguousCode; 7] = [
    AmbiguousCode::new(4, "youki tells SIGILL so, too"),
    AmbiguousCode::new(5, "youki tells SIGTRAP so, too"),
    AmbiguousCode::new(7, "youki tells SIGBUS so, too"),
    AmbiguousCode::new(8, "youki tells SIGFPE so, too"),
    AmbiguousCode::new(9, "youki tells SIGKILL so, too"),
    AmbiguousCode::new(11, "youki tells SIGSEGV so, too"),
    AmbiguousCode::new(31, "youki tells SIGSYS so, too"),
];

/// One runtime.
#[derive(Debug)]
pub struct Runtime {
    info: TargetInfo,
    program: Program,
    options: RuntimeOptions,
}

/// How a runtime is called.
#[derive(Debug, Clone, Copy)]
struct RuntimeOptions {
    /// The flags before the subcommand.
    flags: &'static [&'static str],
    /// Whether the program's environment needs a `PATH`.
    path: PathVariable,
    /// Whether the runtime starts with `SIGCHLD` blocked.
    sigchld: Sigchld,
    /// How the runtime tells the ending of a program.
    endings: Endings,
}

/// The state of `SIGCHLD` when a runtime starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sigchld {
    /// The signal isn't blocked.
    Unblocked,
    /// The signal is blocked: the kernel keeps a signal that comes before the runtime waits for it.
    Blocked,
}

impl RuntimeOptions {
    const DEFAULT: Self = Self {
        flags: &[],
        path: PathVariable::AsGiven,
        sigchld: Sigchld::Unblocked,
        endings: Endings::OF_PROCESS_1,
    };
}

/// podman's runtime, written in C.
pub fn crun() -> Runtime {
    Runtime::new(
        "crun",
        Source::Debian("crun"),
        "crun, podman's runtime: an OCI bundle with the container's namespaces, mounts and \
         seccomp policy.",
        oci_differences!["the loopback interface is up"],
    )
}

/// The runtime of docker and containerd, written in Go.
pub fn runc() -> Runtime {
    Runtime::new(
        "runc",
        Source::Debian("runc"),
        "runc, docker's runtime: an OCI bundle with the container's namespaces, mounts and \
         seccomp policy.",
        oci_differences!["the loopback interface is up"],
    )
}

/// A runtime written in Rust. youki 0.7 misses the end of a program that ends before youki waits
/// for `SIGCHLD`: 10 starts of 25 hung.
pub fn youki() -> Runtime {
    let runtime = Runtime::new(
        "youki",
        Source::Elsewhere(YOUKI),
        "youki, a runtime in Rust: an OCI bundle with the container's namespaces, mounts and \
         seccomp policy.",
        oci_differences![
            "the program's environment has a PATH, without which youki refuses to start",
            "a youki that was built without its feature `seccomp` filters no system calls, and \
             doesn't say so",
            "a signal that ended the program is told by its number, as if that were the program's \
             exit code",
            "youki starts with SIGCHLD blocked: youki 0.7 misses the end of a program that ends \
             too soon, and hangs",
        ],
    );
    Runtime {
        options: RuntimeOptions {
            path: PathVariable::Added,
            sigchld: Sigchld::Blocked,
            endings: Endings {
                ambiguous: &YOUKI_SIGNALS,
                process_1: Process1::Program,
            },
            ..RuntimeOptions::DEFAULT
        },
        ..runtime
    }
}

/// gVisor's runtime. With `--ignore-cgroups`, runsc also ignores a memory limit.
pub fn runsc() -> Runtime {
    let runtime = Runtime::new(
        "runsc",
        Source::Debian("runsc"),
        "gVisor's runsc: a kernel in user space serves every system call of the program.",
        differences!(
            ["a read-only directory as root, which a second process serves: no overlayfs"],
            [
                OVERLAY_DIFFERENCE,
                "a second process serves the files of the root"
            ],
            [
                "a kernel of its own in user space; system calls reach that kernel by ptrace, the \
                 slowest platform of gVisor, which runs everywhere",
                "no system-call policy: gVisor 2022 reads a policy only with a flag, and then refuses \
                 threads",
                "no cgroup of its own (--ignore-cgroups: Debian's build fails on a hybrid host)",
            ],
        ),
    );
    Runtime {
        info: TargetInfo {
            family: TargetFamily::UserSpaceKernel,
            pace: Pace::Slow,
            memory_limit: None,
            // runsc of 2022 has no such option.
            capabilities: Capabilities::OF_RUNTIMES_OF_IMAGES,
            ..runtime.info
        },
        options: RuntimeOptions {
            flags: &["--ignore-cgroups", "--network=none", "--platform=ptrace"],
            // runsc itself ends by signals.
            endings: Endings::default(),
            ..RuntimeOptions::DEFAULT
        },
        ..runtime
    }
}

impl Runtime {
    fn new(
        name: &'static str,
        source: Source,
        description: &'static str,
        differences: Differences,
    ) -> Self {
        Self {
            info: TargetInfo {
                differences: differences.program,
                image_differences: differences.image,
                text: Text::Utf8,
                capabilities: Capabilities::OF_RUNTIMES_WITH_DESCRIPTORS,
                memory_limit: Some(MemoryLimit::Cgroup),
                ..container_peer(name, description)
            },
            program: Program { name, source },
            options: RuntimeOptions::DEFAULT,
        }
    }
}

impl Target for Runtime {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        self.program
            .availability(|_| needs_root(self.info.name, host))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let runtime = self.program.path()?;
        let mounts = context.files(|_| runtime_mounts())?;
        let roots = Roots::in_namespace(context, &["proc", "dev"], &mounts)?;
        let bundles = context.files(|directory| {
            let state = directory.join("state");
            fs::create_dir(&state)?;
            Ok(Bundles {
                runtime,
                options: self.options,
                roots,
                directory: directory.to_owned(),
                state,
                mounts,
                names: InstanceNames::of(context.session),
            })
        })?;
        Ok(Box::new(bundles))
    }
}

/// A prepared runtime, which starts each instance from a bundle of its own.
#[derive(Debug)]
struct Bundles {
    runtime: PathBuf,
    options: RuntimeOptions,
    directory: PathBuf,
    roots: Roots,
    state: PathBuf,
    mounts: MountNamespace,
    names: InstanceNames,
}

impl Bundles {
    /// The runtime's command line without a subcommand.
    fn base(&self) -> CommandLine {
        let mut command = CommandLine::new(&self.runtime)
            .args(["--root".as_ref(), self.state.as_os_str()])
            .args(self.options.flags);
        command.environment = path_variable();
        command.mounts = Some(self.mounts.clone());
        command
    }
}

impl Prepared for Bundles {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let id = self.names.next();
        let bundle = self.directory.join(&id);
        fs::create_dir(&bundle)?;
        let root = self.roots.instance(launch)?;
        oci_config::config(launch, &root, self.options.path)?
            .save(bundle.join("config.json"))
            .map_err(io::Error::other)?;
        let delete = self.base().args(["delete", "--force", &id]);
        let mut command = self
            .base()
            .args(["run", "--bundle"])
            .args([&bundle])
            .args(preserve_option(launch))
            .args([&id]);
        command.preserved.clone_from(&launch.preserved);
        command.endings = self.options.endings;
        command.blocks_sigchld = self.options.sigchld == Sigchld::Blocked;
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            mounted: root.mounted,
            directory: Some(bundle),
            cgroups: peer_cgroups(&launch.cgroups),
        };
        Ok(command)
    }
}
