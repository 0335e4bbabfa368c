//! util-linux's unshare: the means of isolation of a shell script, and the simplest peer.

use std::io;
use std::path::PathBuf;

use isobench_reports::model::TargetFamily;
use isobench_reports::schema::disk;

use super::instance::make_layer;
use super::program::{Program, Source};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::CommandLine;
use crate::targets::prepare::inside_path;
use crate::targets::{
    Availability, Launch, Participation, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

const PROGRAM: Program = Program {
    name: "unshare",
    source: Source::Debian("util-linux"),
};

/// The target `unshare`.
#[derive(Debug)]
pub struct Unshare(TargetInfo);

impl Unshare {
    pub fn new() -> Self {
        let description =
            "util-linux's unshare: seven namespaces, chroot and /proc; what a shell has to offer.";
        Self(TargetInfo {
            differences: &[
                "the root is made by chroot into a directory: no overlayfs, no pivot_root, no \
                 read-only root, and the host's mounts are still in the mount namespace",
                "no /dev",
                "no cgroup of its own",
                "all capabilities within its user namespace, no seccomp filter, new privileges \
                 allowed",
                "root inside is the user who starts unshare",
                "no disk experiment: unshare binds nothing into its root",
            ],
            participation: Participation::NotIn {
                experiments: &[disk::NAME],
                reason: "unshare binds nothing into its root",
            },
            ..TargetInfo::peer(TargetFamily::Container, "unshare", description)
        })
    }
}

impl Target for Unshare {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, host: &HostReport) -> Availability {
        PROGRAM.availability(|_| host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = context.program(self.0.name)?;
        let layer = context.files(|directory| make_layer(program, directory, &["proc"]))?;
        Ok(Box::new(InChroot {
            unshare: PROGRAM.path()?,
            layer,
        }))
    }
}

/// A prepared unshare, whose instances have the directory `layer` as root.
#[derive(Debug)]
struct InChroot {
    unshare: PathBuf,
    layer: PathBuf,
}

impl Prepared for InChroot {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.unshare)
            .args(["--user", "--map-root-user", "--mount", "--uts", "--ipc"])
            .args(["--pid", "--fork", "--kill-child", "--cgroup", "--net"])
            .args(["--mount-proc=/proc", "--root"])
            .args([&self.layer])
            .args(["--"])
            .args([inside_path(launch.program)])
            .args(&launch.arguments);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}
