//! Docker: a client, a daemon, containerd and runc. Either the daemon that runs already, or one of the run's own.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use isobench_reports::model::{TargetKind, Unavailable};

use super::daemon::{Daemon, answers, not_running};
use super::{
    DISK, FILES, Program, bind_option, binds, client_environment, find_on_path, instance_cgroup,
    needs_root, oci_config, prepare_layer, runtime_mounts, stray_cgroups,
};
use crate::experiments::MEMORY;
use crate::host::accounting::Accounting;
use crate::host::facts::{HostReport, Need};
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::instance::command_line::Leftovers;
use crate::targets::{Launch, Target, inside_path};

/// The system-call policy, in the prepared directory.
const POLICY: &str = "seccomp.json";
/// The own daemon's socket, in its mount namespace.
const SOCKET: &str = "unix:///run/docker.sock";
/// How long making and removing an image may take.
const PATIENCE: Duration = Duration::from_mins(1);

#[derive(Debug)]
pub struct Docker {
    program: Program,
    /// Whether it's a daemon of the run's own.
    own: bool,
    daemon: OnceLock<Daemon>,
    mounts: OnceLock<MountNamespace>,
    /// The image, which is named as the session is; known once it's made.
    image: OnceLock<String>,
    instances: AtomicU64,
}

impl Docker {
    /// With a daemon of the run's own, or the one that runs.
    pub fn new(own: bool) -> Self {
        Self {
            program: Program::new("docker", "install Debian's package `docker.io`"),
            own,
            daemon: OnceLock::new(),
            mounts: OnceLock::new(),
            image: OnceLock::new(),
            instances: AtomicU64::new(0),
        }
    }

    /// The client, up to its command.
    fn client(&self) -> CommandLine {
        let mut command = CommandLine::new(self.program.path());
        command.environment = client_environment();
        if self.own {
            command = command.args(["--host", SOCKET]);
            command.mounts = self.mounts.get().cloned();
        }
        command
    }

    fn version_of_daemon(&self) -> CommandLine {
        self.client()
            .args(["version", "--format", "{{.Server.Version}}"])
    }

    fn start_daemon(&self, root: &Path, accounting: &Accounting) -> Result<Daemon, Unavailable> {
        let program = find_on_path("dockerd").unwrap_or_else(|| "dockerd".into());
        let mut command = CommandLine::new(program)
            .args(["--host", SOCKET, "--exec-root", "/run/docker"])
            .args(["--pidfile", "/run/docker.pid", "--data-root"])
            .args([root.join("data")])
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--ip-masq=false", "--storage-driver=overlay2"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
        command.environment = client_environment();
        command.mounts = self.mounts.get().cloned();
        Daemon::start(
            "dockerd",
            &command,
            &self.version_of_daemon(),
            root,
            accounting,
        )
    }

    /// Runs a command of the client's; what it complained about, if it failed.
    fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let said = bounded_command::run(&self.client().args(arguments), PATIENCE)
            .map_err(|error| error.to_string())?;
        if said.well {
            Ok(said.output)
        } else {
            let command = arguments.first().unwrap_or(&"");
            Err(format!("docker {command} failed: {}", said.complaint()))
        }
    }

    /// Makes the image from the workload's directory alone.
    fn make_image(&self, root: &Path, name: &str) -> Result<(), String> {
        let archive = root.join("image.tar");
        let mut pack = CommandLine::new("/bin/tar")
            .args(["--create".as_ref(), "--file".as_ref(), archive.as_os_str()])
            .args(["--directory".into(), root.join("layer")])
            .args(["."]);
        pack.environment = client_environment();
        let packed = bounded_command::run(&pack, PATIENCE).map_err(|error| error.to_string())?;
        if !packed.well {
            return Err(format!("cannot pack the image: {}", packed.complaint()));
        }
        self.ask(&["import", &archive.display().to_string(), name])?;
        Ok(())
    }

    /// Removes the containers and images of runs that were killed from a daemon that outlived them.
    fn sweep(&self) {
        let dead = |name: &str| {
            let session = name.rsplit_once('.').map_or(name, |(session, _)| session);
            SessionName::parse(session).is_some_and(|session| !session.is_alive())
        };
        let lists: [(&[&str], &str); 2] = [
            (&["ps", "--all", "--format", "{{.Names}}"], "rm"),
            (&["images", "--format", "{{.Repository}}"], "rmi"),
        ];
        for (list, remove) in lists {
            let names = self.ask(list).unwrap_or_default();
            for name in names.lines().filter(|name| dead(name)) {
                // What can't be removed is in use, and nothing that this run needs.
                let _ = self.ask(&[remove, "--force", name]);
            }
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(image) = self.image.get().filter(|_| !self.own) {
            // A daemon of the run's own goes with all that it has.
            let _ = self.ask(&["rmi", "--force", image]);
        }
    }
}

impl Target for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn description(&self) -> &'static str {
        "docker run: a client that asks a daemon, which has containerd and runc start the container."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "a daemon, containerd and a shim beside the runtime; the image holds the workload alone, and its overlayfs is read-only",
            "no user namespace, which docker gives to all containers of a daemon or to none: root inside is the host's, without capabilities",
            "/sys, /etc/hosts and more are mounted; the loopback interface is up",
            "a cgroup in every hierarchy of cgroups v1; where the daemon ran before, outside of the run's",
            "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
            "its environment has what docker adds, PATH among it",
            "no memory experiment: daemon and shim are no part of an instance",
        ]
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn takes_part_in(&self, experiment: &str) -> bool {
        experiment != MEMORY
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        if let Some(missing) = self.program.missing() {
            return Some(missing);
        }
        if self.own {
            let missing = find_on_path("dockerd").is_none().then(|| Unavailable {
                reason: "dockerd is not installed".to_owned(),
                fix: "install Debian's package `docker.io`".to_owned(),
            });
            return missing.or_else(|| needs_root("dockerd", host));
        }
        let running = answers(&self.version_of_daemon());
        (!running)
            .then(|| not_running("dockerd", "docker"))
            .or_else(|| host.lacks(Need::MemoryCgroup))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        prepare_layer(program, root, &["proc", "dev", "sys", "etc"])?;
        oci_config::save_policy(&root.join(POLICY))?;
        if self.own {
            let mounts = runtime_mounts()?;
            self.mounts.get_or_init(|| mounts);
        }
        Ok(())
    }

    fn start(&self, root: &Path, accounting: &Accounting) -> Result<(), Unavailable> {
        if self.own {
            let daemon = self.start_daemon(root, accounting)?;
            self.daemon.get_or_init(|| daemon);
        } else {
            self.sweep();
        }
        let name = accounting.name().to_string();
        self.make_image(root, &name).map_err(|reason| Unavailable {
            reason,
            fix: "see that the daemon has room and may import images".to_owned(),
        })?;
        self.image.get_or_init(|| name);
        Ok(())
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn files_path(&self, _: &Path) -> Option<PathBuf> {
        Some(FILES.into())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let image = self.image.get().map_or("", String::as_str);
        let number = self.instances.fetch_add(1, Ordering::Relaxed);
        let name = format!("{image}.{number}");
        let policy = launch.root.join(POLICY);
        let mut command = self
            .client()
            .args(["run", "--rm", "--interactive", "--network=none"])
            .args(["--hostname=isobench", "--cgroupns=private"])
            .args(["--cap-drop=ALL", "--security-opt=no-new-privileges"])
            .args([format!("--security-opt=seccomp={}", policy.display())])
            .args(["--read-only", "--pull=never", "--name", &name]);
        // A daemon that ran before may be systemd's, and take no other's cgroups.
        if let Some(cgroup) = instance_cgroup(&launch.limits).filter(|_| self.own) {
            command = command.args(["--cgroup-parent".as_ref(), cgroup.as_os_str()]);
        }
        if let Some(memory) = launch.memory {
            command = command.args([format!("--memory={}b", memory.as_u64())]);
        }
        for variable in &launch.environment {
            command = command.args(["--env".as_ref(), variable.as_os_str()]);
        }
        for bind in binds(launch) {
            command = command.args(["--volume".into(), bind_option(bind)]);
        }
        command.leftovers = Leftovers {
            deletion: Some(Box::new(self.client().args(["rm", "--force", &name]))),
            directory: None,
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command
            .args([image])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}
