//! containerd by its own client, `ctr`: a shim and runc, on the `config.json` of the OCI runtimes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use isobench_reports::model::{TargetKind, Unavailable};

use super::daemon::{Daemon, answers, not_running};
use super::{
    DISK, FILES, Program, client_environment, find_on_path, needs_root, oci_config, prepare_layer,
    runtime_mounts, stray_cgroups,
};
use crate::experiments::MEMORY;
use crate::host::accounting::Accounting;
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;
use crate::instance::command_line::Leftovers;
use crate::targets::{Launch, Target};

/// The own daemon's socket, in its mount namespace.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// The own daemon's configuration: its plugin for Kubernetes looks for networks. All paths are given as flags.
const CONFIGURATION: &str = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
/// How long listing and removing may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Containerd {
    program: Program,
    /// Whether it's a daemon of the run's own.
    own: bool,
    daemon: OnceLock<Daemon>,
    mounts: OnceLock<MountNamespace>,
    /// containerd's namespace for the run, which is named as the session is.
    namespace: OnceLock<String>,
    instances: AtomicU64,
}

impl Containerd {
    /// With a daemon of the run's own, or the one that runs.
    pub fn new(own: bool) -> Self {
        Self {
            program: Program::new("ctr", "install Debian's package `containerd`"),
            own,
            daemon: OnceLock::new(),
            mounts: OnceLock::new(),
            namespace: OnceLock::new(),
            instances: AtomicU64::new(0),
        }
    }

    /// The client, up to its command.
    fn client(&self) -> CommandLine {
        let mut command = CommandLine::new(self.program.path());
        command.environment = client_environment();
        if self.own {
            command = command.args(["--address", SOCKET]);
            command.mounts = self.mounts.get().cloned();
        }
        command
    }

    fn start_daemon(&self, root: &Path, accounting: &Accounting) -> Result<Daemon, Unavailable> {
        let config = root.join("containerd.toml");
        fs::write(&config, CONFIGURATION).map_err(|error| Unavailable {
            reason: format!("cannot write {}: {error}", config.display()),
            fix: "see that TMPDIR is on a disk with room".to_owned(),
        })?;
        let program = find_on_path("containerd").unwrap_or_else(|| "containerd".into());
        let mut command = CommandLine::new(program)
            .args(["--address", SOCKET, "--state", "/run/containerd", "--root"])
            .args([root.join("data")])
            .args(["--config".as_ref(), config.as_os_str()]);
        command.environment = client_environment();
        command.mounts = self.mounts.get().cloned();
        let client = self.client().args(["version"]);
        Daemon::start("containerd", &command, &client, root, accounting)
    }

    /// The lines that the client answers; none if it fails.
    fn list(&self, arguments: &[&str]) -> Vec<String> {
        let said = bounded_command::run(&self.client().args(arguments), PATIENCE);
        let output = said.map_or_else(|_| String::new(), |said| said.output);
        output.lines().map(str::to_owned).collect()
    }

    /// What kills the container `id`, or all of `namespace`, and has the daemon forget it. Each step may find nothing.
    fn deletion(&self, namespace: &str, id: &str) -> CommandLine {
        let client = self.client();
        let mut script = CommandLine::new("/bin/sh")
            .args([
                "-c",
                "id=$1; ns=$2; shift 2; \"$@\" --namespace \"$ns\" tasks rm --force \"$id\"; \
                 \"$@\" --namespace \"$ns\" containers rm \"$id\"",
                "sh",
                id,
                namespace,
            ])
            .args([&client.program])
            .args(&client.arguments);
        script.environment = client.environment;
        script.mounts = client.mounts;
        script
    }

    /// Empties and removes a namespace of a daemon that outlives the run.
    fn remove(&self, namespace: &str) {
        for id in self.list(&["--namespace", namespace, "containers", "ls", "--quiet"]) {
            let _ = bounded_command::run(&self.deletion(namespace, &id), PATIENCE);
        }
        self.list(&["namespaces", "rm", namespace]);
    }
}

/// Whether anybody listens where the client looks: by itself, `ctr` goes on trying for as long as it is let.
fn listens() -> bool {
    let address = std::env::var_os("CONTAINERD_ADDRESS").unwrap_or_else(|| SOCKET.into());
    let path = address.as_bytes();
    let path = path.strip_prefix(b"unix://").unwrap_or(path);
    UnixStream::connect(OsStr::from_bytes(path)).is_ok()
}

impl Drop for Containerd {
    fn drop(&mut self) {
        if let Some(namespace) = self.namespace.get().filter(|_| !self.own) {
            self.remove(namespace);
        }
    }
}

impl Target for Containerd {
    fn name(&self) -> &'static str {
        "containerd"
    }

    fn description(&self) -> &'static str {
        "containerd by its client ctr: a daemon, a shim and runc, with the container's namespaces, mounts and policy."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "a daemon and a shim beside the runtime; runc reads the same config.json as the target runc does",
            "a read-only directory as root: no image, no overlayfs",
            "the program is PID 1: nobody in the container forwards signals and reaps orphans",
            "a cgroup in every hierarchy of cgroups v1; the loopback interface is up",
            "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
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
        let reachable = || listens() && answers(&self.client().args(["version"]));
        let unreachable = || !self.own && !reachable();
        needs_root("containerd", host)
            .or_else(|| unreachable().then(|| not_running("containerd", "containerd")))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        prepare_layer(program, root, &["proc", "dev"])?;
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
            let dead = |name: &&String| {
                SessionName::parse(name).is_some_and(|session| !session.is_alive())
            };
            let namespaces = self.list(&["namespaces", "ls", "--quiet"]);
            namespaces
                .iter()
                .filter(dead)
                .for_each(|name| self.remove(name));
        }
        self.namespace.get_or_init(|| accounting.name().to_string());
        Ok(())
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn files_path(&self, _: &Path) -> Option<PathBuf> {
        Some(FILES.into())
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let namespace = self.namespace.get().map_or("isobench", String::as_str);
        let number = self.instances.fetch_add(1, Ordering::Relaxed);
        let id = format!("isobench-{number}");
        let directory = launch.root.join(format!("instance-{number}"));
        fs::create_dir(&directory)?;
        let file = directory.join("config.json");
        let config = oci_config::config(launch, false)?;
        config.save(&file).map_err(io::Error::other)?;
        let mut command = self
            .client()
            .args(["--namespace", namespace, "run", "--rm", "--config"])
            .args([&file])
            .args([&id]);
        command.leftovers = Leftovers {
            deletion: Some(Box::new(self.deletion(namespace, &id))),
            directory: Some(directory),
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command)
    }
}
