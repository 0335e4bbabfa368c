//! unshare of util-linux: what a shell script can do by itself, the least of the peers.

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
    Launch, Participation, PrepareError, Prepared, Presence, Setup, Target, TargetInfo,
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
                "root by chroot into a directory: no overlayfs, no pivot_root, no read-only root, and the host's mounts stay below",
                "no /dev",
                "no cgroup of its own",
                "all capabilities within its user namespace, no seccomp filter, new privileges allowed",
                "root inside is the user who starts it",
                "no disk experiment: it binds nothing",
            ],
            participation: Participation::NotIn {
                experiments: &[disk::NAME],
                why: "unshare binds nothing into its root",
            },
            ..TargetInfo::peer(TargetFamily::Container, "unshare", description)
        })
    }
}

impl Target for Unshare {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn presence(&self, host: &HostReport) -> Presence {
        PROGRAM.presence(|_| host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = setup.program(self.0.name)?;
        let layer = setup.files(|directory| make_layer(program, directory, &["proc"]))?;
        Ok(Box::new(InChroot {
            unshare: PROGRAM.path()?,
            layer,
        }))
    }
}

/// Starts instances in the layer.
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
