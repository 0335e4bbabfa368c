//! Bubblewrap, the sandbox under Flatpak: the leanest peer that does nearly what rung 1 does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::seccomp;
use isobench_reports::model::{TargetKind, Unavailable};

use super::{DISK, FILES, Program, binds, prepare_layer};
use crate::host::facts::{HostReport, Need};
use crate::instance::command_line::{CommandLine, INPUT_DESCRIPTOR};
use crate::targets::{Launch, Target, inside_path};

/// The compiled filter, in the prepared directory.
const FILTER: &str = "seccomp.bpf";

#[derive(Debug)]
pub struct Bubblewrap {
    program: Program,
}

impl Default for Bubblewrap {
    fn default() -> Self {
        Self {
            program: Program::new("bwrap", "install Debian's package `bubblewrap`"),
        }
    }
}

impl Target for Bubblewrap {
    fn name(&self) -> &'static str {
        "bwrap"
    }

    fn description(&self) -> &'static str {
        "Bubblewrap: seven namespaces, a bound root, /proc and /dev, the container's seccomp filter."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "a directory bound read-only as root: no overlayfs",
            "/dev has a devpts of its own in addition",
            "no cgroup of its own",
            "the loopback interface is up",
            "root inside is the user who starts it",
        ]
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| host.lacks(Need::UserNamespaces))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        prepare_layer(program, root, &["proc", "dev"])?;
        fs::write(root.join(FILTER), seccomp::compiled())
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn files_path(&self, _: &Path) -> Option<PathBuf> {
        Some(FILES.into())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(self.program.path())
            .args(["--unshare-all", "--hostname", "isobench"])
            .args(["--die-with-parent", "--cap-drop", "ALL", "--seccomp"])
            .args([INPUT_DESCRIPTOR.to_string()])
            .args(["--ro-bind".into(), launch.root.join("layer"), "/".into()])
            .args(["--proc", "/proc", "--dev", "/dev"]);
        for (source, place) in binds(launch) {
            command = command.args(["--bind".as_ref(), source.as_os_str(), place.as_ref()]);
        }
        command.input = Some(launch.root.join(FILTER));
        command.environment.clone_from(&launch.environment);
        Ok(command
            .args(["--"])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}
