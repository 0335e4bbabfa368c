//! unshare of util-linux: what a shell script can do by itself, the least of the peers.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_reports::model::{TargetKind, Unavailable};

use super::{DISK, FILES, Program, prepare_layer};
use crate::experiments::DISK as DISK_EXPERIMENT;
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::CommandLine;
use crate::targets::{Launch, Target, inside_path};

#[derive(Debug)]
pub struct Unshare {
    program: Program,
}

impl Default for Unshare {
    fn default() -> Self {
        Self {
            program: Program::new("unshare", "install Debian's package `util-linux`"),
        }
    }
}

impl Target for Unshare {
    fn name(&self) -> &'static str {
        "unshare"
    }

    fn description(&self) -> &'static str {
        "util-linux's unshare: seven namespaces, chroot and /proc; what a shell has to offer."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "root by chroot into a directory: no overlayfs, no pivot_root, no read-only root, and the host's mounts stay below",
            "no /dev",
            "no cgroup of its own",
            "all capabilities within its user namespace, no seccomp filter, new privileges allowed",
            "root inside is the user who starts it",
            "no disk experiment: it binds nothing",
        ]
    }

    fn takes_part_in(&self, experiment: &str) -> bool {
        experiment != DISK_EXPERIMENT
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        let layer = prepare_layer(program, root, &["proc"])?;
        fs::remove_file(layer.join(DISK.trim_start_matches('/')))?;
        fs::remove_dir(layer.join(FILES.trim_start_matches('/')))
    }

    fn disk_path(&self, disk: &Path) -> PathBuf {
        disk.to_owned()
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(self.program.path())
            .args(["--user", "--map-root-user", "--mount", "--uts", "--ipc"])
            .args(["--pid", "--fork", "--kill-child", "--cgroup", "--net"])
            .args(["--mount-proc=/proc", "--root"])
            .args([launch.root.join("layer")])
            .args(["--"])
            .args([inside_path(launch.program)])
            .args(&launch.arguments);
        command.environment.clone_from(&launch.environment);
        Ok(command)
    }
}
