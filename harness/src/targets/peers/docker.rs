//! Docker: a client, a daemon, containerd and runc. Either the daemon that runs already, or a daemon
//! of the run's own.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobench_reports::model::Unavailable;
use isobench_reports::schema::memory;

use super::daemon::{Client, Daemon, Daemons, answers, not_running};
use super::instance::{
    Counter, bind_option, binding_peer, binds, instance_cgroup, make_layer, runtime_mounts,
    stray_cgroups,
};
use super::oci_config;
use super::program::{Program, Source, client_environment, needs_root};
use crate::host::facts::{HostReport, Need};
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::instance::bounded_command;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::targets::prepare::inside_path;
use crate::targets::{
    Launch, MemoryLimit, Pace, Participation, PrepareError, Prepared, Presence, Setup, Target,
    TargetInfo,
};

const CLIENT: Program = Program {
    name: "docker",
    source: Source::Debian("docker.io"),
};
const DAEMON: Program = Program {
    name: "dockerd",
    source: Source::Debian("docker.io"),
};
/// The own daemon's address, in its mount namespace.
const ADDRESS: [&str; 2] = ["--host", "unix:///run/docker.sock"];
/// How long making and removing an image may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The target `docker`.
#[derive(Debug)]
pub struct Docker {
    info: TargetInfo,
    daemons: Daemons,
}

impl Docker {
    pub fn new(daemons: Daemons) -> Self {
        let description = "docker run: a client that asks a daemon, which has containerd and runc \
                           start the container.";
        let info = TargetInfo {
            pace: Pace::Slow,
            differences: &[
                "a daemon, containerd and a shim beside the runtime; the image holds the workload alone, and its overlayfs is read-only",
                "no user namespace, which docker gives to all containers of a daemon or to none: root inside is the host's, without capabilities",
                "/sys, /etc/hosts and more are mounted; the loopback interface is up",
                "a cgroup in every hierarchy of cgroups v1; where the daemon ran before, outside of the run's",
                "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
                "its environment has what docker adds, PATH among it",
                "no memory experiment: daemon and shim are no part of an instance",
            ],
            participation: Participation::NotIn {
                experiments: &[memory::NAME],
                why: "daemon and shim are no part of an instance",
            },
            memory_limit: Some(MemoryLimit::Cgroup),
            ..binding_peer("docker", description)
        };
        Self { info, daemons }
    }
}

impl Target for Docker {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn presence(&self, host: &HostReport) -> Presence {
        CLIENT.presence(|path| match self.daemons {
            Daemons::StartOwn => DAEMON.path().err().or_else(|| needs_root("dockerd", host)),
            Daemons::UseRunning => {
                let client = Client::of_running(path.to_owned());
                (!answers(&daemon_version(&client)))
                    .then(|| not_running("dockerd", "docker"))
                    .or_else(|| host.lacks(Need::MemoryCgroup))
            }
        })
    }

    fn prepare(&self, setup: &Setup) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = setup.program(self.info.name)?;
        let policy = setup.directory.join("seccomp.json");
        let layer = setup.files(|directory| {
            oci_config::save_policy(&policy)?;
            make_layer(program, directory, &["proc", "dev", "sys", "etc"])
        })?;
        let path = CLIENT.path()?;
        let (client, daemon) = match self.daemons {
            Daemons::StartOwn => {
                let mounts = setup.files(|_| runtime_mounts())?;
                let client = Client::of_own(path, ADDRESS, mounts.clone());
                let daemon = start_daemon(&client, mounts, setup)?;
                (client, Some(daemon))
            }
            Daemons::UseRunning => {
                let client = Client::of_running(path);
                sweep(&client);
                (client, None)
            }
        };
        // A daemon that outlives the run is given the image last, so that a failure leaves none.
        let image = setup.session.to_string();
        make_image(&client, &layer, &image).map_err(|reason| Unavailable {
            reason,
            fix: "see that the daemon has room and may import images".to_owned(),
            command: None,
        })?;
        Ok(Box::new(Images {
            client,
            image,
            policy,
            instances: Counter::default(),
            daemon,
        }))
    }
}

/// Starts instances of an image with the workload alone.
#[derive(Debug)]
struct Images {
    client: Client,
    /// Name of the image, which is the run's.
    image: String,
    /// The system-call policy.
    policy: PathBuf,
    instances: Counter,
    /// The daemon, if it is the run's own.
    daemon: Option<Daemon>,
}

impl Drop for Images {
    fn drop(&mut self) {
        // A daemon of the run's own goes with all that it has.
        if self.daemon.is_none() {
            let _ = ask(&self.client, &["rmi", "--force", &self.image]);
        }
    }
}

impl Prepared for Images {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let name = format!("{}.{}", self.image, self.instances.next());
        let mut command = self
            .client
            .command()
            .args(["run", "--rm", "--interactive", "--network=none"])
            .args(["--hostname=isobench", "--cgroupns=private"])
            .args(["--cap-drop=ALL", "--security-opt=no-new-privileges"])
            .args([format!("--security-opt=seccomp={}", self.policy.display())])
            .args(["--read-only", "--pull=never", "--name", &name]);
        // A daemon that ran before may be systemd's, and take no other's cgroups.
        let own = self.daemon.is_some();
        if let Some(cgroup) = instance_cgroup(&launch.limits).filter(|_| own) {
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
        let delete = self.client.command().args(["rm", "--force", &name]);
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            directory: None,
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command
            .args([&self.image])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}

/// The command by which the client tells whether its daemon can be reached.
fn daemon_version(client: &Client) -> CommandLine {
    client
        .command()
        .args(["version", "--format", "{{.Server.Version}}"])
}

/// Starts a daemon of the run's own in `mounts`.
fn start_daemon(
    client: &Client,
    mounts: MountNamespace,
    setup: &Setup,
) -> Result<Daemon, Unavailable> {
    let mut command = CommandLine::new(DAEMON.path()?)
        .args(ADDRESS)
        .args(["--exec-root", "/run/docker"])
        .args(["--pidfile", "/run/docker.pid", "--data-root"])
        .args([setup.directory.join("data")])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
        .args(["--ip-masq=false", "--storage-driver=overlay2"])
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
    command.environment = client_environment();
    command.mounts = Some(mounts);
    Daemon::start("dockerd", &command, &daemon_version(client), setup)
}

/// Runs a command of the client's: its output, or what it complained about.
fn ask(client: &Client, arguments: &[&str]) -> Result<String, String> {
    let answer = bounded_command::run(&client.command().args(arguments), PATIENCE)
        .map_err(|error| error.to_string())?;
    if answer.succeeded() {
        Ok(answer.stdout)
    } else {
        let command = arguments.first().unwrap_or(&"");
        Err(format!(
            "docker {command} failed: {}",
            answer.last_error_line()
        ))
    }
}

/// Makes the image `name` from the directory `layer`.
fn make_image(client: &Client, layer: &Path, name: &str) -> Result<(), String> {
    let archive = layer.with_file_name("image.tar");
    let mut pack = CommandLine::new("/bin/tar")
        .args(["--create".as_ref(), "--file".as_ref(), archive.as_os_str()])
        .args(["--directory".as_ref(), layer.as_os_str()])
        .args(["."]);
    pack.environment = client_environment();
    let packed = bounded_command::run(&pack, PATIENCE).map_err(|error| error.to_string())?;
    if !packed.succeeded() {
        return Err(format!(
            "cannot pack the image: {}",
            packed.last_error_line()
        ));
    }
    ask(client, &["import", &archive.display().to_string(), name])?;
    Ok(())
}

/// Removes the containers and images of runs that were killed from a daemon that outlived them.
fn sweep(client: &Client) {
    let dead = |name: &str| {
        let session = name.rsplit_once('.').map_or(name, |(session, _)| session);
        SessionName::parse(session).is_some_and(|session| !session.is_alive())
    };
    let lists: [(&[&str], &str); 2] = [
        (&["ps", "--all", "--format", "{{.Names}}"], "rm"),
        (&["images", "--format", "{{.Repository}}"], "rmi"),
    ];
    for (list, remove) in lists {
        let names = ask(client, list).unwrap_or_default();
        for name in names.lines().filter(|name| dead(name)) {
            // What can't be removed is in use, and nothing that this run needs.
            let _ = ask(client, &[remove, "--force", name]);
        }
    }
}
