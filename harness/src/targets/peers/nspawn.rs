//! systemd-nspawn: systemd's containers, which are made for whole operating systems. isobench uses
//! them without systemd's services.

use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{FIRST_HOST_ID, ID_COUNT, User};

use super::instance::{
    InstanceNames, bind_option, binds, container_peer, peer_cgroups, runtime_mounts,
};
use super::program::{Program, Source, needs_root, path_variable};
use super::roots::{OVERLAY_DIFFERENCE, Roots, differences};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::instance::endings::AmbiguousCode;
use crate::targets::prepare::host_user;
use crate::targets::{
    Availability, Capabilities, Launch, Pace, PrepareContext, PrepareError, Prepared, Target,
    TargetInfo,
};

const PROGRAM: Program = Program {
    name: "systemd-nspawn",
    source: Source::Debian("systemd-container"),
};
/// The directories of an operating system, without which nspawn refuses to start. An image that
/// lacks one of them gets it.
const DIRECTORIES: [&str; 9] = [
    "proc", "dev", "sys", "usr", "etc", "run", "tmp", "var", "root",
];

/// The exit code after a signal, whatever the signal was.
const ANY_SIGNAL: AmbiguousCode = AmbiguousCode::new(
    255,
    "systemd-nspawn tells so, too, that a signal ended the program, and not which",
);

/// The target `systemd-nspawn`.
#[derive(Debug)]
pub struct Nspawn(TargetInfo);

impl Nspawn {
    pub fn new() -> Self {
        let description = "systemd-nspawn: a container for an operating system, with the \
                           container's namespaces.";
        let differences = differences!(
            [
                "a read-only directory as root, with the empty directories of an operating \
                 system: no overlayfs"
            ],
            [
                OVERLAY_DIFFERENCE,
                "a user other than root is looked up at each start by the image's program getent"
            ],
            [
                "/sys, /run and more are mounted; the loopback interface is up",
                "no cgroup of its own (--keep-unit, --register=no: systemd is not involved)",
                "a signal that ended the program is told by the exit code 255, without its number",
                "nspawn's own list of allowed system calls",
                "nspawn adds variables to the program's environment, such as PATH",
            ],
        );
        Self(TargetInfo {
            pace: Pace::Slow,
            differences: differences.program,
            image_differences: differences.image,
            capabilities: Capabilities::OF_RUNTIMES_OF_IMAGES,
            ..container_peer("systemd-nspawn", description)
        })
    }
}

impl Target for Nspawn {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, host: &HostReport) -> Availability {
        PROGRAM.availability(|_| needs_root(self.0.name, host))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let mounts = context.files(|_| runtime_mounts())?;
        Ok(Box::new(Machine {
            nspawn: PROGRAM.path()?,
            roots: Roots::in_namespace(context, &DIRECTORIES, &mounts)?,
            mounts,
            names: InstanceNames::of(context.session),
        }))
    }
}

/// A prepared nspawn.
#[derive(Debug)]
struct Machine {
    nspawn: PathBuf,
    roots: Roots,
    mounts: MountNamespace,
    names: InstanceNames,
}

impl Prepared for Machine {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let root = self.roots.instance(launch)?;
        let mut command = CommandLine::new(&self.nspawn)
            .args(["--quiet", "--keep-unit", "--register=no", "--as-pid2"])
            .args([format!("--machine={}", self.names.next())])
            .args(["--hostname=isobench", "--console=pipe"])
            .args(["--directory".as_ref(), root.directory.as_os_str()])
            .args([format!("--private-users={FIRST_HOST_ID}:{ID_COUNT}")])
            .args(["--private-users-ownership=off", "--private-network"])
            .args(["--drop-capability=all"])
            .args(["--no-new-privileges=yes", "--link-journal=no"])
            .args(["--timezone=off", "--resolv-conf=off"]);
        if !root.is_writable {
            command = command.args(["--read-only"]);
        }
        if root.working_directory != Path::new("/") {
            command = command.args(["--chdir".as_ref(), root.working_directory.as_os_str()]);
        }
        if root.user != User::default() {
            command = command.args([format!("--user={}", root.user.uid)]);
        }
        command.environment = path_variable();
        command.mounts = Some(self.mounts.clone());
        command.pipes_for = Some(host_user(&root.user));
        command.endings.ambiguous = &[ANY_SIGNAL];
        command.leftovers = Leftovers {
            mounted: root.mounted,
            cgroups: peer_cgroups(&launch.cgroups),
            ..Leftovers::default()
        };
        for variable in &launch.environment {
            command = command.args(["--setenv".as_ref(), variable.as_os_str()]);
        }
        for bind in binds(launch) {
            command = command.args(["--bind".into(), bind_option(bind)]);
        }
        Ok(command
            .args(["--"])
            .args([&root.program])
            .args(&launch.arguments))
    }
}
