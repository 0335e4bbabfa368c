//! Bubblewrap, the sandbox under Flatpak: the leanest peer, with the same namespaces as rung 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use isobench_reports::model::{Part, TargetKind, Unavailable};

use super::{Launch, Target, inside_path, place_program};
use crate::host::{HostReport, Need};
use crate::spawn::CommandLine;

/// Where the disk file is bound to.
const DISK: &str = "/disk";

#[derive(Debug)]
pub struct Bubblewrap {
    program: PathBuf,
    version: Option<String>,
}

impl Bubblewrap {
    /// Looks for `bwrap` on the `PATH`.
    pub fn find() -> Self {
        let program = find_on_path("bwrap").unwrap_or_else(|| "bwrap".into());
        let version = Command::new(&program)
            .arg("--version")
            .output()
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        Self { program, version }
    }
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

impl Target for Bubblewrap {
    fn name(&self) -> &'static str {
        "bwrap"
    }

    fn description(&self) -> &'static str {
        "Bubblewrap: seven namespaces, a bound root, /proc and /dev; no cgroup, no seccomp filter."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn phases(&self) -> Vec<Part> {
        Vec::new()
    }

    fn version(&self) -> Option<String> {
        self.version.clone()
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        if self.version.is_none() {
            return Some(Unavailable {
                reason: "bwrap is not installed".to_owned(),
                fix: "install Debian's package `bubblewrap`".to_owned(),
            });
        }
        host.lacks(Need::UserNamespaces)
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        let layer = root.join("layer");
        place_program(program, &layer)?;
        for mount_point in ["proc", "dev"] {
            fs::create_dir(layer.join(mount_point))?;
        }
        fs::write(layer.join(DISK.trim_start_matches('/')), "")
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn command(&self, launch: &Launch) -> CommandLine {
        let mut command = CommandLine::new(&self.program)
            .args(["--unshare-all", "--die-with-parent", "--ro-bind"])
            .args([launch.root.join("layer"), "/".into()])
            .args(["--proc", "/proc", "--dev", "/dev"]);
        if let Some(disk) = launch.disk {
            command = command.args(["--bind".as_ref(), disk.as_os_str(), DISK.as_ref()]);
        }
        command.environment.clone_from(&launch.environment);
        command
            .args(["--"])
            .args([inside_path(launch.program)])
            .args(&launch.arguments)
    }
}
