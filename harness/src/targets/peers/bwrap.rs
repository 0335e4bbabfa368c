//! Bubblewrap, the sandbox under Flatpak: the fastest peer that does nearly all that rung 1 does.

use std::fs;
use std::io;
use std::path::PathBuf;

use isobench_container::seccomp;

use super::instance::{binds, container_peer, make_layer};
use super::program::{Program, Source};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, INPUT_DESCRIPTOR};
use crate::targets::prepare::inside_path;
use crate::targets::{
    Availability, Launch, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

const PROGRAM: Program = Program {
    name: "bwrap",
    source: Source::Debian("bubblewrap"),
};

/// The target `bwrap`.
#[derive(Debug)]
pub struct Bubblewrap(TargetInfo);

impl Bubblewrap {
    pub fn new() -> Self {
        let description = "Bubblewrap: seven namespaces, a bound root, /proc and /dev, the \
                           container's seccomp filter.";
        Self(TargetInfo {
            differences: &[
                "a directory bound read-only as root: no overlayfs",
                "/dev also has a devpts",
                "no cgroup of its own",
                "the loopback interface is up",
                "root inside is the user who starts bwrap",
            ],
            ..container_peer("bwrap", description)
        })
    }
}

impl Target for Bubblewrap {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, host: &HostReport) -> Availability {
        PROGRAM.availability(|_| host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = context.program(self.0.name)?;
        let layer = context.files(|directory| make_layer(program, directory, &["proc", "dev"]))?;
        let filter = context.directory.join("seccomp.bpf");
        context.files(|_| fs::write(&filter, seccomp::compiled()))?;
        Ok(Box::new(Sandbox {
            bwrap: PROGRAM.path()?,
            layer,
            filter,
        }))
    }
}

/// A prepared bwrap, whose instances have the directory `layer` as root.
#[derive(Debug)]
struct Sandbox {
    bwrap: PathBuf,
    layer: PathBuf,
    /// The compiled seccomp filter.
    filter: PathBuf,
}

impl Prepared for Sandbox {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.bwrap)
            .args(["--unshare-all", "--hostname", "isobench"])
            .args(["--die-with-parent", "--cap-drop", "ALL", "--seccomp"])
            .args([INPUT_DESCRIPTOR.to_string()])
            .args(["--ro-bind".as_ref(), self.layer.as_os_str(), "/".as_ref()])
            .args(["--proc", "/proc", "--dev", "/dev"]);
        for (source, place) in binds(launch) {
            command = command.args(["--bind".as_ref(), source.as_os_str(), place.as_ref()]);
        }
        command.input = Some(self.filter.clone());
        command.environment.clone_from(&launch.environment);
        Ok(command
            .args(["--"])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}
