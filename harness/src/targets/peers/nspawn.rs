//! systemd-nspawn: systemd's containers, made for whole operating systems; here without systemd's
//! services.

use std::io;
use std::path::PathBuf;

use isobench_container::{FIRST_HOST_ID, ID_COUNT};

use super::instance::{
    Counter, bind_option, binding_peer, binds, make_layer, runtime_mounts, stray_cgroups,
};
use super::program::{Program, Source, needs_root, path_variable};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::prepare::inside_path;
use crate::targets::{Launch, Pace, PrepareError, Prepared, Presence, Setup, Target, TargetInfo};

const PROGRAM: Program = Program {
    name: "systemd-nspawn",
    source: Source::Debian("systemd-container"),
};
/// The directories of an operating system, which nspawn insists on.
const DIRECTORIES: [&str; 9] = [
    "proc", "dev", "sys", "usr", "etc", "run", "tmp", "var", "root",
];

/// The target `systemd-nspawn`.
#[derive(Debug)]
pub struct Nspawn(TargetInfo);

impl Nspawn {
    pub fn new() -> Self {
        let description = "systemd-nspawn: a container for an operating system, with the \
                           container's namespaces.";
        Self(TargetInfo {
            pace: Pace::Slow,
            differences: &[
                "a read-only directory as root, with the empty directories of an operating system, /usr among them: no overlayfs",
                "/sys, /run and more are mounted; the loopback interface is up",
                "no cgroup of its own (--keep-unit, --register=no: systemd is not asked)",
                "its own list of system calls",
                "the program's environment has what nspawn adds, PATH among it",
            ],
            ..binding_peer("systemd-nspawn", description)
        })
    }
}

impl Target for Nspawn {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn presence(&self, host: &HostReport) -> Presence {
        PROGRAM.presence(|_| needs_root(self.0.name, host))
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = setup.program(self.0.name)?;
        Ok(Box::new(Machine {
            nspawn: PROGRAM.path()?,
            layer: setup.files(|directory| make_layer(program, directory, &DIRECTORIES))?,
            mounts: setup.files(|_| runtime_mounts())?,
            instances: Counter::default(),
        }))
    }
}

/// Starts instances in the layer.
#[derive(Debug)]
struct Machine {
    nspawn: PathBuf,
    layer: PathBuf,
    mounts: MountNamespace,
    instances: Counter,
}

impl Prepared for Machine {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let number = self.instances.next();
        let mut command = CommandLine::new(&self.nspawn)
            .args(["--quiet", "--keep-unit", "--register=no", "--as-pid2"])
            .args([format!("--machine=isobench-{number}")])
            .args(["--hostname=isobench", "--console=pipe"])
            .args(["--directory".as_ref(), self.layer.as_os_str()])
            .args([format!("--private-users={FIRST_HOST_ID}:{ID_COUNT}")])
            .args(["--private-users-ownership=off", "--private-network"])
            .args(["--read-only", "--drop-capability=all"])
            .args(["--no-new-privileges=yes", "--link-journal=no"])
            .args(["--timezone=off", "--resolv-conf=off"]);
        command.environment = path_variable();
        command.mounts = Some(self.mounts.clone());
        command.leftovers = Leftovers {
            cgroups: stray_cgroups(&launch.limits),
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
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}
