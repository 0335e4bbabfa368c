//! systemd-nspawn: systemd's containers, made for whole operating systems; here without systemd's services.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use isobench_container::{FIRST_HOST_ID, ID_COUNT};
use isobench_reports::model::{TargetKind, Unavailable};

use super::{
    DISK, FILES, Program, bind_option, binds, needs_root, path_variable, prepare_layer,
    runtime_mounts, stray_cgroups,
};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::CommandLine;
use crate::instance::command_line::Leftovers;
use crate::targets::{Launch, Target, inside_path};

#[derive(Debug)]
pub struct Nspawn {
    program: Program,
    mounts: OnceLock<MountNamespace>,
    instances: AtomicU64,
}

impl Default for Nspawn {
    fn default() -> Self {
        Self {
            program: Program::new(
                "systemd-nspawn",
                "install Debian's package `systemd-container`",
            ),
            mounts: OnceLock::new(),
            instances: AtomicU64::new(0),
        }
    }
}

impl Target for Nspawn {
    fn name(&self) -> &'static str {
        "systemd-nspawn"
    }

    fn description(&self) -> &'static str {
        "systemd-nspawn: a container for an operating system, with the container's namespaces."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "a read-only directory as root, with the empty directories of an operating system, /usr among them: no overlayfs",
            "/sys, /run and more are mounted; the loopback interface is up",
            "no cgroup of its own (--keep-unit, --register=no: systemd is not asked)",
            "its own list of system calls",
            "the program's environment has what nspawn adds, PATH among it",
        ]
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| needs_root(self.name(), host))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        let directories = [
            "proc", "dev", "sys", "usr", "etc", "run", "tmp", "var", "root",
        ];
        prepare_layer(program, root, &directories)?;
        let mounts = runtime_mounts()?;
        self.mounts.get_or_init(|| mounts);
        Ok(())
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn files_path(&self, _: &Path) -> Option<PathBuf> {
        Some(FILES.into())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let number = self.instances.fetch_add(1, Ordering::Relaxed);
        let mut command = CommandLine::new(self.program.path())
            .args(["--quiet", "--keep-unit", "--register=no", "--as-pid2"])
            .args([format!("--machine=isobench-{number}")])
            .args(["--hostname=isobench", "--console=pipe"])
            .args(["--directory".into(), launch.root.join("layer")])
            .args([format!("--private-users={FIRST_HOST_ID}:{ID_COUNT}")])
            .args(["--private-users-ownership=off", "--private-network"])
            .args(["--read-only", "--drop-capability=all"])
            .args(["--no-new-privileges=yes", "--link-journal=no"])
            .args(["--timezone=off", "--resolv-conf=off"]);
        command.environment = path_variable();
        command.mounts = self.mounts.get().cloned();
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
