//! podman: an engine without a daemon. Its storage lies in the run's scratch directory. Its
//! containers have the workload's directory as root (`--rootfs`), so no image is pulled or made.

use std::fs;
use std::io;
use std::path::PathBuf;

use isobench_container::{FIRST_HOST_ID, ID_COUNT};

use super::instance::{
    InstanceCounter, LIBSECCOMP_DIFFERENCE, bind_option, binds, container_peer, instance_cgroup,
    make_layer, peer_cgroups, runtime_mounts,
};
use super::oci_config;
use super::program::{Program, Source, needs_root, path_variable};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::prepare::inside_path;
use crate::targets::{
    Availability, Launch, MemoryLimit, Pace, PrepareContext, PrepareError, Prepared, Target,
    TargetInfo,
};

const PROGRAM: Program = Program {
    name: "podman",
    source: Source::Debian("podman"),
};
/// The directories of the root: mount points, and the directories of [`BOUND_FILES`].
const DIRECTORIES: [&str; 6] = ["proc", "dev", "sys", "etc", "run", "tmp"];
/// The files over which podman binds files of its own. The container's root could not make these
/// files.
const BOUND_FILES: [&str; 4] = [
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "run/.containerenv",
];
/// The directory for podman's records of running containers, in the mount namespace's own /run.
/// podman accepts a path of at most 50 characters.
const STATE: &str = "/run/containers";

/// The target `podman`.
#[derive(Debug)]
pub struct Podman(TargetInfo);

impl Podman {
    pub fn new() -> Self {
        let description = "podman run: an engine without a daemon, its monitor conmon and an OCI \
                           runtime, with the container's namespaces.";
        Self(TargetInfo {
            pace: Pace::Slow,
            differences: &[
                "a read-only directory as root (--rootfs): no image, no overlayfs",
                "an engine and a monitor beside the runtime, which the memory figures include; \
                 /sys, /etc/hosts and more are mounted; the loopback interface is up",
                "a cgroup in every hierarchy of cgroups v1; the second hierarchy of a hybrid host \
                 is hidden from podman",
                LIBSECCOMP_DIFFERENCE,
                "limits of 1024 open files and processes by setrlimit: without them podman would \
                 raise the limits, which needs CAP_SYS_RESOURCE",
                "podman adds variables to the program's environment, such as PATH",
            ],
            memory_limit: Some(MemoryLimit::Cgroup),
            ..container_peer("podman", description)
        })
    }
}

impl Target for Podman {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, host: &HostReport) -> Availability {
        PROGRAM.availability(|_| needs_root(self.0.name, host))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = context.program(self.0.name)?;
        let podman = PROGRAM.path()?;
        let engine = context.files(|directory| {
            let layer = make_layer(program, directory, &DIRECTORIES)?;
            for file in BOUND_FILES {
                fs::write(layer.join(file), "")?;
            }
            let policy = directory.join("seccomp.json");
            oci_config::save_policy(&policy)?;
            Ok(Engine {
                podman,
                layer,
                policy,
                storage: directory.join("storage"),
                mounts: runtime_mounts()?,
                instances: InstanceCounter::default(),
            })
        })?;
        Ok(Box::new(engine))
    }
}

/// A prepared podman, whose instances have the directory `layer` as root.
#[derive(Debug)]
struct Engine {
    podman: PathBuf,
    layer: PathBuf,
    /// The file with the seccomp policy.
    policy: PathBuf,
    storage: PathBuf,
    mounts: MountNamespace,
    instances: InstanceCounter,
}

impl Engine {
    /// podman's command line without a subcommand.
    fn base(&self) -> CommandLine {
        let mut command = CommandLine::new(&self.podman)
            .args(["--root".as_ref(), self.storage.as_os_str()])
            .args(["--runroot", STATE])
            .args(["--cgroup-manager=cgroupfs", "--events-backend=none"]);
        command.environment = path_variable();
        command.mounts = Some(self.mounts.clone());
        command
    }
}

impl Prepared for Engine {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let name = format!("isobench-{}", self.instances.next());
        let ids = format!("0:{FIRST_HOST_ID}:{ID_COUNT}");
        let mut command = self
            .base()
            .args(["run", "--rm", "--interactive", "--network=none"])
            .args(["--hostname=isobench", "--cgroupns=private"])
            .args(["--uidmap", &ids, "--gidmap", &ids])
            .args(["--cap-drop=all", "--security-opt=no-new-privileges"])
            .args([format!("--security-opt=seccomp={}", self.policy.display())])
            .args(["--read-only", "--read-only-tmpfs=false"])
            .args(["--ulimit=nofile=1024", "--ulimit=nproc=1024"])
            .args(["--name", &name]);
        if let Some(cgroup) = instance_cgroup(&launch.cgroups) {
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
        let delete = self.base().args(["rm", "--force", "--time=0", &name]);
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            cgroups: peer_cgroups(&launch.cgroups),
            ..Leftovers::default()
        };
        Ok(command
            .args(["--rootfs".as_ref(), self.layer.as_os_str()])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}
