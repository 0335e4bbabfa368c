//! containerd with its own client, `ctr`: a shim and runc, which read the `config.json` of the OCI
//! runtimes.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use isobench_reports::model::Unavailable;
use isobench_reports::schema::memory;

use super::daemon::{Client, Daemon, Daemons, not_running, start_own, succeeds};
use super::instance::{
    InstanceCounter, LIBSECCOMP_DIFFERENCE, PROCESS_1_DIFFERENCE, container_peer, peer_cgroups,
};
use super::oci_config::{self, PathVariable};
use super::program::{Program, Source, client_environment, needs_root};
use super::roots::{OVERLAY_DIFFERENCE, Roots, differences};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::instance::bounded_command;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::instance::endings::Endings;
use crate::targets::overlay_roots::Mounter;
use crate::targets::{
    Availability, Capabilities, Capability, Contents, Launch, MemoryLimit, Pace, Participation,
    PrepareContext, PrepareError, Prepared, Target, TargetInfo, Text,
};

const CLIENT: Program = Program {
    name: "ctr",
    source: Source::Debian("containerd"),
};
const DAEMON: Program = Program {
    name: "containerd",
    source: Source::Debian("containerd"),
};
/// The daemon's socket. The socket of a daemon that the run has started is in the daemon's mount
/// namespace.
const SOCKET: &str = "/run/containerd/containerd.sock";
/// The configuration of a daemon that the run has started. The disabled plugin is for Kubernetes
/// and would look for networks. All paths are given as flags.
const CONFIGURATION: &str = "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n";
/// How long one command of the client may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

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
        let differences = differences!(
            ["a read-only directory as root: no image, no overlayfs"],
            [OVERLAY_DIFFERENCE],
            [
                "a daemon and a shim beside the runtime; runc reads the same config.json as under \
                 the target runc",
                PROCESS_1_DIFFERENCE,
                "a cgroup in every hierarchy of cgroups v1; the loopback interface is up",
                LIBSECCOMP_DIFFERENCE,
                "no memory experiment: daemon and shim are no part of an instance",
            ],
        );
        let info = TargetInfo {
            pace: Pace::Slow,
            differences: differences.program,
            image_differences: differences.image,
            text: Text::Utf8,
            capabilities: Capabilities::OF_RUNTIMES_OF_IMAGES.without(Capability::WaitForProgram),
            participation: Participation::NotIn {
                experiments: &[memory::NAME],
                reason: "daemon and shim are no part of an instance",
            },
            memory_limit: Some(MemoryLimit::Cgroup),
            ..container_peer("containerd", description)
        };
        Self { info, daemons }
    }
}

impl Target for Containerd {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        CLIENT.availability(|path| {
            needs_root("containerd", host).or_else(|| match self.daemons {
                Daemons::StartOwn => DAEMON.path().err(),
                Daemons::UseRunning => {
                    let client = Client::of_running(path.to_owned());
                    let reachable = accepts_connections() && succeeds(&version(&client));
                    (!reachable).then(|| not_running("containerd", "containerd"))
                }
            })
        })
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let path = CLIENT.path()?;
        let (client, daemon) = match self.daemons {
            Daemons::StartOwn => start_own(path, ["--address", SOCKET], context, start_daemon)?,
            Daemons::UseRunning => {
                let client = Client::of_running(path);
                sweep(&client);
                (client, None)
            }
        };
        let roots = roots(&client, context)?;
        Ok(Box::new(Tasks {
            client,
            namespace: context.session.next().to_string(),
            directory: context.directory.to_owned(),
            roots,
            instances: InstanceCounter::default(),
            daemon,
        }))
    }
}

/// The roots of instances. The roots of an image must be where the daemon sees them.
fn roots(client: &Client, context: &PrepareContext) -> Result<Roots, PrepareError> {
    const DIRECTORIES: &[&str] = &["proc", "dev"];
    match (client.mounts(), context.contents) {
        (Some(mounts), _) => Roots::in_namespace(context, DIRECTORIES, mounts),
        (None, Contents::Program(_)) => Roots::alone(context, DIRECTORIES, Mounter::Runtime),
        (None, Contents::Image(_)) => Err(Unavailable {
            reason: "a containerd that ran before doesn't see the run's mounts, and an image's \
                     layers have to be mounted for it"
                .to_owned(),
            fix: "let a run start a containerd of its own with --start-daemons, or take the \
                  target runc"
                .to_owned(),
            command: None,
        }
        .into()),
    }
}

/// A prepared containerd, whose instances are in a containerd namespace of their own.
#[derive(Debug)]
struct Tasks {
    client: Client,
    /// The containerd namespace, which has a name of this process.
    namespace: String,
    directory: PathBuf,
    roots: Roots,
    instances: InstanceCounter,
    /// The daemon, if the run has started it.
    daemon: Option<Daemon>,
}

impl Drop for Tasks {
    fn drop(&mut self) {
        // A daemon that the run has started takes its namespaces with it.
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
        let root = self.roots.instance(launch)?;
        oci_config::config(launch, &root, PathVariable::AsGiven)?
            .save(&file)
            .map_err(io::Error::other)?;
        let mut command = self
            .client
            .command()
            .args(["--namespace", &self.namespace, "run", "--rm", "--config"])
            .args([&file])
            .args([&id]);
        command.endings = Endings::OF_PROCESS_1;
        command.leftovers = Leftovers {
            deletion: Some(Box::new(deletion(&self.client, &self.namespace, &id))),
            directory: Some(directory),
            mounted: root.mounted,
            cgroups: peer_cgroups(&launch.cgroups),
        };
        Ok(command)
    }
}

/// A command of the client that succeeds if the client can reach its daemon.
fn version(client: &Client) -> CommandLine {
    client.command().args(["version"])
}

/// Starts a daemon for the run, in the mount namespace `mounts`.
fn start_daemon(
    client: &Client,
    mounts: MountNamespace,
    context: &PrepareContext,
) -> Result<Daemon, PrepareError> {
    let config = context.directory.join("containerd.toml");
    context.files(|_| fs::write(&config, CONFIGURATION))?;
    let mut command = CommandLine::new(DAEMON.path()?)
        .args(["--address", SOCKET, "--state", "/run/containerd", "--root"])
        .args([context.directory.join("data")])
        .args(["--config".as_ref(), config.as_os_str()]);
    command.environment = client_environment();
    command.mounts = Some(mounts);
    Ok(Daemon::start(
        "containerd",
        &command,
        &version(client),
        context,
    )?)
}

/// The lines that a command of the client prints. Empty if the command fails.
fn list(client: &Client, arguments: &[&str]) -> Vec<String> {
    let output = bounded_command::run(&client.command().args(arguments), COMMAND_LIMIT);
    let text = output.map_or_else(|_| String::new(), |output| output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// The command that kills the container `id` of `namespace` and deletes it from the daemon's
/// records. Either step fails if there is nothing to do.
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

/// Deletes the containers of a namespace, and the namespace. The daemon outlives the run.
fn remove(client: &Client, namespace: &str) {
    for id in list(
        client,
        &["--namespace", namespace, "containers", "ls", "--quiet"],
    ) {
        let _ = bounded_command::run(&deletion(client, namespace, &id), COMMAND_LIMIT);
    }
    list(client, &["namespaces", "rm", namespace]);
}

/// Removes the namespaces of killed runs.
fn sweep(client: &Client) {
    let is_left_over =
        |name: &&String| SessionName::parse(name).is_some_and(|session| session.has_ended());
    let namespaces = list(client, &["namespaces", "ls", "--quiet"]);
    for name in namespaces.iter().filter(is_left_over) {
        remove(client, name);
    }
}

/// Whether a daemon accepts connections at the client's address. Without a daemon, `ctr` retries
/// until it is killed, so this check comes first.
fn accepts_connections() -> bool {
    let address = std::env::var_os("CONTAINERD_ADDRESS").unwrap_or_else(|| SOCKET.into());
    let path = address.as_bytes();
    let path = path.strip_prefix(b"unix://").unwrap_or(path);
    UnixStream::connect(OsStr::from_bytes(path)).is_ok()
}
