//! util-linux's unshare: the means of isolation of a shell script, and the simplest peer.

use std::io;
use std::path::PathBuf;

use isobench_container::User;
use isobench_reports::model::TargetFamily;
use isobench_reports::schema::disk;

use super::instance::PROCESS_1_DIFFERENCE;
use super::program::{Program, Source};
use super::roots::{ONE_USER_DIFFERENCE, OVERLAY_DIFFERENCE, Roots, differences};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::CommandLine;
use crate::instance::endings::Endings;
use crate::targets::overlay_roots::Mounter;
use crate::targets::prepare::host_user;
use crate::targets::{
    Availability, Capabilities, Launch, Participation, PrepareContext, PrepareError, Prepared,
    Target, TargetInfo,
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
        let differences = differences!(
            [
                "the root is made by chroot into a directory: no overlayfs, no pivot_root, no \
                 read-only root, and the host's mounts are still in the mount namespace",
                "no /dev",
                "root inside is the user who starts unshare",
            ],
            [
                OVERLAY_DIFFERENCE,
                ONE_USER_DIFFERENCE,
                "the root is entered by chroot: no pivot_root, and the host's mounts are still in \
                 the mount namespace",
                "the container's /dev, which is bound before the clock starts",
            ],
            [
                "no cgroup of its own",
                PROCESS_1_DIFFERENCE,
                "unshare 2.38 tells by its exit code 1 that the program was killed by SIGKILL",
                "all capabilities within its user namespace, no seccomp filter, new privileges \
                 allowed",
                "no disk experiment: unshare binds nothing into its root",
            ],
        );
        Self(TargetInfo {
            differences: differences.program,
            image_differences: differences.image,
            capabilities: Capabilities::OF_RUNTIMES_WITH_DESCRIPTORS,
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
        // unshare mounts nothing but /proc.
        let roots = Roots::alone(context, &["proc"], Mounter::Isobench)?;
        Ok(Box::new(InChroot {
            unshare: PROGRAM.path()?,
            roots,
        }))
    }
}

/// A prepared unshare.
#[derive(Debug)]
struct InChroot {
    unshare: PathBuf,
    roots: Roots,
}

impl Prepared for InChroot {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let root = self.roots.instance(launch)?;
        let User { uid, gid, .. } = root.user;
        let mut command = CommandLine::new(&self.unshare)
            .args(["--user", "--mount", "--uts", "--ipc"])
            .args(["--pid", "--fork", "--kill-child", "--cgroup", "--net"])
            .args(["--mount-proc=/proc", "--root"])
            .args([&root.directory]);
        command = match self.roots.namespace() {
            None => command.args(["--map-root-user"]),
            Some(_) => command
                .args([format!("--map-user={uid}"), format!("--map-group={gid}")])
                .args(["--wd".as_ref(), root.working_directory.as_os_str()]),
        };
        if let Some(mounts) = self.roots.namespace() {
            // The user who starts unshare is the only one inside, and owns the image's files.
            command.user = Some(host_user(&root.user));
            command.mounts = Some(mounts.clone());
        }
        command.preserved.clone_from(&launch.preserved);
        command.endings = Endings::OF_PROCESS_1;
        command.leftovers.mounted = root.mounted;
        command = command
            .args(["--"])
            .args([&root.program])
            .args(&launch.arguments);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}
