//! Docker: a client, a daemon, containerd and runc. The daemon is the one that runs already, or one
//! that the run starts.

use std::fs;
use std::io;
use std::path::PathBuf;

use isobench_reports::model::Unavailable;
use isobench_reports::schema::memory;

use super::daemon::{Client, Daemon, Daemons, REQUEST_LIMIT, not_running, start_own, succeeds};
use super::engine_image::{
    IMAGE_LIMIT, ONE_LAYER_DIFFERENCE, ProgramStart, pack_directory, pack_image,
};
use super::instance::{
    InstanceCounter, LIBSECCOMP_DIFFERENCE, PROCESS_1_DIFFERENCE, bind_option, binds,
    container_peer, instance_cgroup, make_layer, peer_cgroups,
};
use super::oci_config;
use super::program::{Program, Source, client_environment, needs_root};
use super::roots::differences;
use crate::host::facts::{HostReport, Need};
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::instance::bounded_command::{self, CommandOutput};
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::instance::endings::Endings;
use crate::targets::{
    Availability, Capabilities, Capability, Contents, Launch, MemoryLimit, Pace, Participation,
    PrepareContext, PrepareError, Prepared, Target, TargetInfo, Text,
};

const CLIENT: Program = Program {
    name: "docker",
    source: Source::Debian("docker.io"),
};
const DAEMON: Program = Program {
    name: "dockerd",
    source: Source::Debian("docker.io"),
};
/// The address of a daemon that the run has started, in the daemon's mount namespace.
const ADDRESS: [&str; 2] = ["--host", "unix:///run/docker.sock"];

/// The client's command that prints the names of the daemon's components, one a line.
const COMPONENTS: [&str; 3] = [
    "version",
    "--format",
    "{{range .Server.Components}}{{println .Name}}{{end}}",
];

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
        let differences = differences!(
            [
                "a daemon, containerd and a shim beside the runtime; the image holds the workload \
                 alone, and its overlayfs is read-only",
            ],
            [
                "a daemon, containerd and a shim beside the runtime",
                ONE_LAYER_DIFFERENCE,
            ],
            [
                "no user namespace, which docker gives to all containers of a daemon or to none: \
                 root inside is the host's root, without capabilities",
                "/sys, /etc/hosts and more are mounted; the loopback interface is up",
                "a cgroup in every hierarchy of cgroups v1; under a daemon that ran before, the \
                 cgroup lies outside of the run's",
                PROCESS_1_DIFFERENCE,
                LIBSECCOMP_DIFFERENCE,
                "docker adds variables to the program's environment, such as PATH",
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
            ..container_peer("docker", description)
        };
        Self { info, daemons }
    }
}

impl Target for Docker {
    fn info(&self) -> &TargetInfo {
        &self.info
    }

    fn availability(&self, host: &HostReport) -> Availability {
        CLIENT.availability(|path| {
            let client = Client::of_running(path.to_owned());
            if names_podman(&output(&client, &["--version"])) {
                return Some(is_podman_s("the program `docker`"));
            }
            match self.daemons {
                Daemons::StartOwn => DAEMON.path().err().or_else(|| needs_root("dockerd", host)),
                Daemons::UseRunning if has_podman(&output(&client, &COMPONENTS)) => {
                    Some(is_podman_s("the daemon that docker reaches"))
                }
                Daemons::UseRunning => (!succeeds(&daemon_version(&client)))
                    .then(|| not_running("dockerd", "docker"))
                    .or_else(|| host.lacks(Need::MemoryCgroup)),
            }
        })
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let policy = context.directory.join("seccomp.json");
        context.files(|_| oci_config::save_policy(&policy))?;
        let archive = archive(context)?;
        let path = CLIENT.path()?;
        let (client, daemon) = match self.daemons {
            Daemons::StartOwn => start_own(path, ADDRESS, context, start_daemon)?,
            Daemons::UseRunning => {
                let client = Client::of_running(path);
                sweep(&client);
                (client, None)
            }
        };
        // The image comes last: a failure before leaves no image in a daemon that outlives the run.
        // The daemon may have the image of other contents of this run under the run's own name.
        let image = context.session.next().to_string();
        let file = archive.display().to_string();
        ask(&client, &["import", &file, &image]).map_err(|reason| Unavailable {
            reason,
            fix: "check that the daemon has free disk space and may import images".to_owned(),
            command: None,
        })?;
        // What can't be removed now is removed at the end of the run.
        let _ = fs::remove_file(&archive);
        Ok(Box::new(Images {
            client,
            image,
            policy,
            start: ProgramStart::of(context.contents),
            instances: InstanceCounter::default(),
            daemon,
        }))
    }
}

/// The archive that becomes the image.
fn archive(context: &PrepareContext) -> Result<PathBuf, PrepareError> {
    match context.contents {
        Contents::Program(program) => {
            let directories = ["proc", "dev", "sys", "etc"];
            let layer = context.files(|directory| make_layer(program, directory, &directories))?;
            Ok(pack_directory(&layer, context)?)
        }
        Contents::Image(image) => pack_image(context, image),
    }
}

/// A prepared docker, whose instances run an image of the daemon's.
#[derive(Debug)]
struct Images {
    client: Client,
    /// The image's name, which is one of this process.
    image: String,
    /// The file with the seccomp policy.
    policy: PathBuf,
    start: ProgramStart,
    instances: InstanceCounter,
    /// The daemon, if the run has started it.
    daemon: Option<Daemon>,
}

impl Drop for Images {
    fn drop(&mut self) {
        // A daemon that the run has started takes its images with it.
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
            .args(["--pull=never", "--name", &name])
            .args(self.start.options());
        // A daemon that ran before may use systemd's cgroups, and then accepts no other cgroup.
        let is_own_daemon = self.daemon.is_some();
        if let Some(cgroup) = instance_cgroup(&launch.cgroups).filter(|_| is_own_daemon) {
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
        let ask = ["inspect", "--format", "{{.State.Pid}}", &name];
        let ask = self.client.command().args(ask);
        command.endings = Endings::OF_PROCESS_1;
        command.ask_for_program = Some(Box::new(ask));
        command.leftovers = Leftovers {
            deletion: Some(Box::new(delete)),
            cgroups: peer_cgroups(&launch.cgroups),
            ..Leftovers::default()
        };
        Ok(command
            .args([&self.image])
            .args([self.start.program(launch)])
            .args(&launch.arguments))
    }
}

/// What a command of the client prints; nothing if it fails.
fn output(client: &Client, arguments: &[&str]) -> String {
    let output = bounded_command::run(&client.command().args(arguments), REQUEST_LIMIT);
    let succeeded = output.ok().filter(CommandOutput::succeeded);
    succeeded.map_or_else(String::new, |output| output.stdout)
}

/// Whether a client that prints this version is podman under docker's name, which writes that name
/// in lower case. Debian's package `podman-docker` has such a program. It isn't asked for more: to
/// answer, podman makes files in /run and /dev/shm.
fn names_podman(version: &str) -> bool {
    ["podman version", "docker version"]
        .iter()
        .any(|name| version.starts_with(name))
}

/// Whether the names of the daemon's components are those of podman's service, which speaks docker's
/// protocol.
fn has_podman(components: &str) -> bool {
    components.lines().any(|name| name == "Podman Engine")
}

/// The reason for which figures of `what` would not be docker's.
fn is_podman_s(what: &str) -> Unavailable {
    Unavailable {
        reason: format!("{what} is podman's"),
        fix: "take the target podman, or install Debian's package `docker.io`".to_owned(),
        command: None,
    }
}

/// A command of the client that succeeds if the client can reach its daemon.
fn daemon_version(client: &Client) -> CommandLine {
    client
        .command()
        .args(["version", "--format", "{{.Server.Version}}"])
}

/// Starts a daemon for the run, in the mount namespace `mounts`.
fn start_daemon(
    client: &Client,
    mounts: MountNamespace,
    context: &PrepareContext,
) -> Result<Daemon, Unavailable> {
    let mut command = CommandLine::new(DAEMON.path()?)
        .args(ADDRESS)
        .args(["--exec-root", "/run/docker"])
        .args(["--pidfile", "/run/docker.pid", "--data-root"])
        .args([context.directory.join("data")])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
        .args(["--ip-masq=false", "--storage-driver=overlay2"])
        .args(["--exec-opt", "native.cgroupdriver=cgroupfs"]);
    command.environment = client_environment();
    command.mounts = Some(mounts);
    Daemon::start("dockerd", &command, &daemon_version(client), context)
}

/// Runs a command of the client, and returns the client's output or its last error line.
fn ask(client: &Client, arguments: &[&str]) -> Result<String, String> {
    let output = bounded_command::run(&client.command().args(arguments), IMAGE_LIMIT)
        .map_err(|error| error.to_string())?;
    if output.succeeded() {
        Ok(output.stdout)
    } else {
        let command = arguments.first().unwrap_or(&"");
        Err(format!(
            "docker {command} failed: {}",
            output.last_error_line()
        ))
    }
}

/// Removes the containers and images of killed runs from a daemon that outlived these runs.
fn sweep(client: &Client) {
    let is_left_over = |name: &str| {
        let session = name.rsplit_once('.').map_or(name, |(session, _)| session);
        SessionName::parse(session).is_some_and(|session| session.has_ended())
    };
    let lists: [(&[&str], &str); 2] = [
        (&["ps", "--all", "--format", "{{.Names}}"], "rm"),
        (&["images", "--format", "{{.Repository}}"], "rmi"),
    ];
    for (list, remove) in lists {
        let names = ask(client, list).unwrap_or_default();
        for name in names.lines().filter(|name| is_left_over(name)) {
            // A name that can't be removed is in use. This run doesn't need the name.
            let _ = ask(client, &[remove, "--force", name]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn podman_is_known_by_what_it_says_of_itself() {
        assert!(names_podman("podman version 4.3.1\n"));
        assert!(names_podman("docker version 4.3.1\n"));
        assert!(!names_podman("Docker version 28.2.2, build e6534b4\n"));
        assert!(!names_podman(""));
        assert!(has_podman(
            "Podman Engine\nConmon\nOCI Runtime (crun)\nEngine\n"
        ));
        assert!(!has_podman("Engine\ncontainerd\nrunc\ndocker-init\n"));
        assert!(!has_podman(""));
    }
}
