//! podman: an engine without a daemon. Its storage lies in the run's scratch directory. The
//! containers of a static program have the program's directory as root (`--rootfs`), so no image is
//! pulled or made. An image is imported into the storage. podman's overlayfs then maps the ids of
//! its layer, and copies no files for the user namespace (podman 4.3, Linux 5.19).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{FIRST_HOST_ID, ID_COUNT};
use isobench_reports::model::Unavailable;
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};

use super::engine_image::{IMAGE_LIMIT, ONE_LAYER_DIFFERENCE, ProgramStart, pack_image};
use super::instance::{
    InstanceNames, LIBSECCOMP_DIFFERENCE, PROCESS_1_DIFFERENCE, bind_option, binds, container_peer,
    hidden_directories, instance_cgroup, make_layer, peer_cgroups, preserve_option,
};
use super::oci_config;
use super::program::{Program, Source, needs_root, path_variable};
use super::roots::differences;
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::bounded_command;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::instance::endings::Endings;
use crate::targets::{
    Availability, Capabilities, Capability, Contents, Launch, MemoryLimit, Pace, PrepareContext,
    PrepareError, Prepared, Target, TargetInfo, Text,
};

const PROGRAM: Program = Program {
    name: "podman",
    source: Source::Debian("podman"),
};
/// The name of the image in the run's own storage.
const IMAGE: &str = "isobench:image";
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
        let differences = differences!(
            ["a read-only directory as root (--rootfs): no image, no overlayfs"],
            [
                ONE_LAYER_DIFFERENCE,
                "podman gives the root directory the mode 0555, so that root inside, without \
                 capabilities, can't make files in it",
            ],
            [
                "an engine and a monitor beside the runtime, which the memory figures include; \
                 /sys, /etc/hosts and more are mounted; the loopback interface is up",
                "a cgroup in every hierarchy of cgroups v1; the second hierarchy of a hybrid host \
                 is hidden from podman",
                PROCESS_1_DIFFERENCE,
                LIBSECCOMP_DIFFERENCE,
                "limits of 1024 open files and processes by setrlimit: without them podman would \
                 raise the limits, which needs CAP_SYS_RESOURCE",
                "podman adds variables to the program's environment, such as PATH",
            ],
        );
        Self(TargetInfo {
            pace: Pace::Slow,
            differences: differences.program,
            image_differences: differences.image,
            text: Text::Utf8,
            capabilities: Capabilities::OF_RUNTIMES_WITH_DESCRIPTORS
                .without(Capability::WaitForProgram),
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
        let podman = PROGRAM.path()?;
        let policy = context.directory.join("seccomp.json");
        context.files(|_| oci_config::save_policy(&policy))?;
        let mut engine = Engine {
            podman,
            root: Vec::new(),
            start: ProgramStart::of(context.contents),
            policy,
            storage: context.directory.join("storage"),
            driver: driver(context),
            mounts: context.files(|_| mounts())?,
            names: InstanceNames::of(context.session),
        };
        engine.root = match context.contents {
            Contents::Program(program) => {
                let layer = context.files(|directory| make_root(program, directory))?;
                vec!["--rootfs".into(), layer.into()]
            }
            Contents::Image(image) => {
                let archive = pack_image(context, image)?;
                engine.import(&archive)?;
                context.files(|_| fs::remove_file(&archive))?;
                vec!["--pull=never".into(), IMAGE.into()]
            }
        };
        Ok(Box::new(engine))
    }
}

/// The driver of podman's storage. On overlayfs podman's choice hangs in its second start. There is
/// nothing in the storage if the root is a directory.
fn driver(context: &PrepareContext) -> Option<&'static str> {
    let on_overlayfs =
        statfs(context.directory).is_ok_and(|fs| fs.filesystem_type() == OVERLAYFS_SUPER_MAGIC);
    match context.contents {
        Contents::Image(_) => Some("overlay"),
        Contents::Program(_) => on_overlayfs.then_some("vfs"),
    }
}

/// A mount namespace for podman. podman keeps its locks in /dev/shm, in one file for all storages of
/// the host: the user's podman and other runs would share them, and the file would stay.
fn mounts() -> io::Result<MountNamespace> {
    let mut hidden = hidden_directories();
    hidden.push("/dev/shm".into());
    MountNamespace::new(&hidden)
}

/// Makes the root of a static program in `directory`.
fn make_root(program: &Path, directory: &Path) -> io::Result<PathBuf> {
    let layer = make_layer(program, directory, &DIRECTORIES)?;
    for file in BOUND_FILES {
        fs::write(layer.join(file), "")?;
    }
    Ok(layer)
}

/// A prepared podman.
#[derive(Debug)]
struct Engine {
    podman: PathBuf,
    /// The arguments of `podman run` that name the root: a directory, or an image.
    root: Vec<OsString>,
    start: ProgramStart,
    /// The file with the seccomp policy.
    policy: PathBuf,
    storage: PathBuf,
    /// The storage's driver; `None` for podman's choice.
    driver: Option<&'static str>,
    mounts: MountNamespace,
    names: InstanceNames,
}

impl Engine {
    /// podman's command line without a subcommand.
    fn base(&self) -> CommandLine {
        let mut command = CommandLine::new(&self.podman)
            .args(["--root".as_ref(), self.storage.as_os_str()])
            .args(["--runroot", STATE])
            .args(["--cgroup-manager=cgroupfs", "--events-backend=none"]);
        if let Some(driver) = self.driver {
            command = command.args([format!("--storage-driver={driver}")]);
        }
        command.environment = path_variable();
        command.mounts = Some(self.mounts.clone());
        command
    }
}

impl Engine {
    /// Makes the image [`IMAGE`] of an archive.
    fn import(&self, archive: &Path) -> Result<(), Unavailable> {
        let import = self
            .base()
            .args(["import".as_ref(), archive.as_os_str(), IMAGE.as_ref()]);
        let imported = bounded_command::run(&import, IMAGE_LIMIT);
        let reason = match imported {
            Ok(output) if output.succeeded() => return Ok(()),
            Ok(output) => output.last_error_line().to_owned(),
            Err(error) => error.to_string(),
        };
        Err(Unavailable {
            reason: format!("podman can't import the image: {reason}"),
            fix: format!(
                "check that {} is on a disk with free space, on which overlayfs works",
                self.storage.display()
            ),
            command: None,
        })
    }
}

impl Prepared for Engine {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let name = self.names.next();
        let ids = format!("0:{FIRST_HOST_ID}:{ID_COUNT}");
        let mut command = self
            .base()
            .args(["run", "--rm", "--interactive", "--network=none"])
            .args(["--hostname=isobench", "--cgroupns=private"])
            .args(["--uidmap", &ids, "--gidmap", &ids])
            .args(["--cap-drop=all", "--security-opt=no-new-privileges"])
            .args([format!("--security-opt=seccomp={}", self.policy.display())])
            .args(["--read-only-tmpfs=false"])
            .args(self.start.options())
            .args(preserve_option(launch))
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
        command.preserved.clone_from(&launch.preserved);
        let delete = self.base().args(["rm", "--force", "--time=0", &name]);
        command.endings = Endings::OF_PROCESS_1;
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            cgroups: peer_cgroups(&launch.cgroups),
            ..Leftovers::default()
        };
        Ok(command
            .args(&self.root)
            .args([self.start.program(launch)])
            .args(&launch.arguments))
    }
}
