//! containerd by its own client, `ctr`: a shim and runc, on the `config.json` of the OCI runtimes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use isobench_reports::schema::memory;

use super::daemon::{Client, Daemon, Daemons, answers, not_running};
use super::instance::{Counter, binding_peer, make_layer, runtime_mounts, stray_cgroups};
use super::oci_config::{self, PathVariable};
use super::program::{Program, Source, client_environment, needs_root};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::instance::bounded_command;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::{
    Launch, MemoryLimit, Pace, Participation, PrepareError, Prepared, Presence, Setup, Target,
    TargetInfo,
};

const CLIENT: Program = Program {
    name: "ctr",
    source: Source::Debian("containerd"),
};
const DAEMON: Program = Program {
    name: "containerd",
    source: Source::Debian("containerd"),
};
/// The daemon's socket; that of a daemon of the run's own is in its mount namespace.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// The own daemon's configuration: its plugin for Kubernetes looks for networks. All paths are given
/// as flags.
const CONFIGURATION: &str = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
/// How long listing and removing may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The target `containerd`.
#[derive(Debug)]
pub struct Containerd {
    info: TargetInfo,
    daemons: Daemons,
}

impl Containerd {
    pub fn new(daemons: Daemons) -> Self {
        let description = "containerd by its client ctr: a daemon, a shim and runc, with the \
                           container's namespaces, mounts and policy.";
        let info = TargetInfo {
            pace: Pace::Slow,
            differences: &[
                "a daemon and a shim beside the runtime; runc reads the same config.json as the target runc does",
                "a read-only directory as root: no image, no overlayfs",
                "the program is PID 1: nobody in the container forwards signals and reaps orphans",
                "a cgroup in every hierarchy of cgroups v1; the loopback interface is up",
                "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
                "no memory experiment: daemon and shim are no part of an instance",
            ],
            participation: Participation::NotIn {
                experiments: &[memory::NAME],
                why: "daemon and shim are no part of an instance",
            },
            memory_limit: Some(MemoryLimit::Cgroup),
            ..binding_peer("containerd", description)
        };
        Self { info, daemons }
    }
}

impl Target for Containerd {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, host: &HostReport) -> Presence {
        CLIENT.presence(|path| {
            needs_root("containerd", host).or_else(|| match self.daemons {
                Daemons::StartOwn => DAEMON.path().err(),
                Daemons::UseRunning => {
                    let client = Client::of_running(path.to_owned());
                    let reachable = listens() && answers(&version(&client));
                    (!reachable).then(|| not_running("containerd", "containerd"))
                }
            })
        })
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = setup.program(self.info.name)?;
        let layer = setup.files(|directory| make_layer(program, directory, &["proc", "dev"]))?;
        let path = CLIENT.path()?;
        let (client, daemon) = match self.daemons {
            Daemons::StartOwn => {
                let mounts = setup.files(|_| runtime_mounts())?;
                let client = Client::of_own(path, ["--address", SOCKET], mounts.clone());
                let daemon = start_daemon(&client, mounts, setup)?;
                (client, Some(daemon))
            }
            Daemons::UseRunning => {
                let client = Client::of_running(path);
                sweep(&client);
                (client, None)
            }
        };
        Ok(Box::new(Tasks {
            client,
            namespace: setup.session.to_string(),
            directory: setup.directory.to_owned(),
            layer,
            instances: Counter::default(),
            daemon,
        }))
    }
}

/// Starts instances in a namespace of containerd's.
#[derive(Debug)]
struct Tasks {
    client: Client,
    /// containerd's namespace for the run, which is named as the run is.
    namespace: String,
    directory: PathBuf,
    layer: PathBuf,
    instances: Counter,
    /// The daemon, if it is the run's own.
    daemon: Option<Daemon>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // A daemon of the run's own goes with all that it has.
        if self.daemon.is_none() {
            remove(&self.client, &self.namespace);
        }
    }
}

impl Prepared for Tasks {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let number = self.instances.next();
        let id = format!("isobench-{number}");
        let directory = self.directory.join(format!("instance-{number}"));
        fs::create_dir(&directory)?;
        let file = directory.join("config.json");
        oci_config::config(launch, &self.layer, PathVariable::AsGiven)?
            .save(&file)
            .map_err(io::Error::other)?;
        let mut command = self
            .client
            .command()
            .args(["--namespace", &self.namespace, "run", "--rm", "--config"])
            .args([&file])
            .args([&id]);
        command.leftovers = Leftovers {
            deletion: Some(Box::new(deletion(&self.client, &self.namespace, &id))),
            directory: Some(directory),
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command)
    }
}

/// The command by which the client tells whether its daemon can be reached.
fn version(client: &Client) -> CommandLine {
    client.command().args(["version"])
}

/// Starts a daemon of the run's own in `mounts`.
fn start_daemon(
    client: &Client,
    mounts: MountNamespace,
    setup: &Setup,
) -> Result<Daemon, PrepareError> {
    let config = setup.directory.join("containerd.toml");
    setup.files(|_| fs::write(&config, CONFIGURATION))?;
    let mut command = CommandLine::new(DAEMON.path()?)
        .args(["--address", SOCKET, "--state", "/run/containerd", "--root"])
        .args([setup.directory.join("data")])
        .args(["--config".as_ref(), config.as_os_str()]);
    command.environment = client_environment();
    command.mounts = Some(mounts);
    Ok(Daemon::start(
        "containerd",
        &command,
        &version(client),
        setup,
    )?)
}

/// The lines that the client answers; none if it fails.
fn list(client: &Client, arguments: &[&str]) -> Vec<String> {
    let answer = bounded_command::run(&client.command().args(arguments), PATIENCE);
    let output = answer.map_or_else(|_| String::new(), |answer| answer.stdout);
    output.lines().map(str::to_owned).collect()
}

/// What kills the container `id` of `namespace` and has the daemon forget it. Each step may find
/// nothing.
fn deletion(client: &Client, namespace: &str, id: &str) -> CommandLine {
    let client = client.command();
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
fn remove(client: &Client, namespace: &str) {
    for id in list(
        client,
        &["--namespace", namespace, "containers", "ls", "--quiet"],
    ) {
        let _ = bounded_command::run(&deletion(client, namespace, &id), PATIENCE);
    }
    list(client, &["namespaces", "rm", namespace]);
}

/// Removes the namespaces of runs that were killed.
fn sweep(client: &Client) {
    let dead = |name: &&String| SessionName::parse(name).is_some_and(|session| !session.is_alive());
    let namespaces = list(client, &["namespaces", "ls", "--quiet"]);
    for name in namespaces.iter().filter(dead) {
        remove(client, name);
    }
}

/// Whether anybody listens where the client looks: by itself, `ctr` goes on trying for as long as it
/// is let.
fn listens() -> bool {
    let address = std::env::var_os("CONTAINERD_ADDRESS").unwrap_or_else(|| SOCKET.into());
    let path = address.as_bytes();
    let path = path.strip_prefix(b"unix://").unwrap_or(path);
    UnixStream::connect(OsStr::from_bytes(path)).is_ok()
}
