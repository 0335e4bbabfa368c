//! podman: an engine without a daemon, on its own storage in the run's scratch directory, with the workload's directory
//! as root (`--rootfs`): no image is pulled or made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use isobench_container::{FIRST_HOST_ID, ID_COUNT};
use isobench_reports::model::{TargetKind, Unavailable};

use super::{
    DISK, FILES, Program, bind_option, binds, instance_cgroup, needs_root, oci_config,
    path_variable, prepare_layer, runtime_mounts, stray_cgroups,
};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::CommandLine;
use crate::instance::command_line::Leftovers;
use crate::targets::{Launch, Target, inside_path};

/// Files that podman binds its own versions of: its container's root could not make them.
const PLACES: [&str; 4] = [
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "run/.containerenv",
];
/// Where podman keeps what it knows of running containers, in the mount namespace's own /run: it takes 50 characters.
const STATE: &str = "/run/containers";
/// The system-call policy, in the prepared directory.
const POLICY: &str = "seccomp.json";

#[derive(Debug)]
pub struct Podman {
    program: Program,
    mounts: OnceLock<MountNamespace>,
    instances: AtomicU64,
}

impl Default for Podman {
    fn default() -> Self {
        Self {
            program: Program::new("podman", "install Debian's package `podman`"),
            mounts: OnceLock::new(),
            instances: AtomicU64::new(0),
        }
    }
}

impl Podman {
    /// podman on the storage in `root`, up to its command.
    fn base(&self, root: &Path) -> CommandLine {
        let mut command = CommandLine::new(self.program.path())
            .args(["--root".into(), root.join("storage")])
            .args(["--runroot", STATE])
            .args(["--cgroup-manager=cgroupfs", "--events-backend=none"]);
        command.environment = path_variable();
        command.mounts = self.mounts.get().cloned();
        command
    }
}

impl Target for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn description(&self) -> &'static str {
        "podman run: an engine without a daemon, its monitor conmon and an OCI runtime, with the container's namespaces."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "a read-only directory as root (--rootfs): no image, no overlayfs",
            "an engine and a monitor beside the runtime, which its memory includes; /sys, /etc/hosts and more are mounted; the loopback interface is up",
            "a cgroup in every hierarchy of cgroups v1; the second hierarchy of a hybrid host is hidden from it",
            "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
            "limits of 1024 open files and processes by setrlimit, since podman would raise them, which takes CAP_SYS_RESOURCE",
            "its environment has what podman adds, PATH among it",
        ]
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| needs_root(self.name(), host))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        let directories = ["proc", "dev", "sys", "etc", "run", "tmp"];
        let layer = prepare_layer(program, root, &directories)?;
        for place in PLACES {
            fs::write(layer.join(place), "")?;
        }
        oci_config::save_policy(&root.join(POLICY))?;
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
        let name = format!("isobench-{number}");
        let ids = format!("0:{FIRST_HOST_ID}:{ID_COUNT}");
        let policy = launch.root.join(POLICY);
        let mut command = self
            .base(launch.root)
            .args(["run", "--rm", "--interactive", "--network=none"])
            .args(["--hostname=isobench", "--cgroupns=private"])
            .args(["--uidmap", &ids, "--gidmap", &ids])
            .args(["--cap-drop=all", "--security-opt=no-new-privileges"])
            .args([format!("--security-opt=seccomp={}", policy.display())])
            .args(["--read-only", "--read-only-tmpfs=false"])
            .args(["--ulimit=nofile=1024", "--ulimit=nproc=1024"])
            .args(["--name", &name]);
        if let Some(cgroup) = instance_cgroup(&launch.limits) {
            command = command.args(["--cgroup-parent".as_ref(), cgroup.as_os_str()]);
        }
        if let Some(memory) = launch.memory {
            command = command.args([format!("--memory={}b", memory.as_u64())]);
        }
        for variable in &launch.environment {
            command = command.args(["--env".as_ref(), variable.as_os_str()]);
        }
        for bind in binds(launch) {
            command = command.args(["--volume".into(), bind_option(bind)]);
        }
        let delete = self
            .base(launch.root)
            .args(["rm", "--force", "--time=0", &name]);
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            directory: None,
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command
            .args(["--rootfs".into(), launch.root.join("layer")])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}
