//! LXC's `lxc-execute`: one program in a container, which a file in LXC's own language describes.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::{FIRST_HOST_ID, ID_COUNT, Network};

use super::instance::{
    InstanceNames, LIBSECCOMP_DIFFERENCE, binds, container_peer, hidden_directories, peer_cgroups,
    utf8,
};
use super::oci_config;
use super::program::{Program, Source, needs_root};
use super::roots::{InstanceRoot, OVERLAY_DIFFERENCE, Roots, differences};
use crate::host::accounting::{hierarchies, path_below_first_process};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::{CommandLine, Leftovers};
use crate::instance::endings::AmbiguousCode;
use crate::targets::prepare::host_user;
use crate::targets::{
    Availability, Capabilities, Launch, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

const PROGRAM: Program = Program {
    name: "lxc-execute",
    source: Source::Debian("lxc"),
};
/// The hierarchies of cgroups v1 that LXC may see: those in which the run has groups of its own, so
/// that LXC's groups go with them. In some of the others, such as cpuset, a new group needs values
/// before a process may join. LXC sets these values only in directories of its own choice.
const HIERARCHIES: [&str; 2] = ["memory", "pids"];

/// The exit code of a start that failed.
const NOT_STARTED: AmbiguousCode = AmbiguousCode::new(
    255,
    "lxc-execute tells so, too, and in silence, that it could not start the program",
);

/// The target `lxc`.
#[derive(Debug)]
pub struct Lxc(TargetInfo);

impl Lxc {
    pub fn new() -> Self {
        let description = "LXC's lxc-execute: one program and an init, with the container's \
                           namespaces and seccomp policy.";
        let differences = differences!(
            [
                "a directory as root, to which root inside, another user, can't write: no \
                 overlayfs"
            ],
            [
                OVERLAY_DIFFERENCE,
                "the program lacks its user's further groups, which lxc-execute doesn't set",
            ],
            [
                "a second cgroup for LXC's monitor; of cgroups v1 LXC uses memory and pids alone, \
                 because it can't set up a cpuset",
                LIBSECCOMP_DIFFERENCE,
                "LXC adds variables to the program's environment",
            ],
        );
        Self(TargetInfo {
            differences: differences.program,
            image_differences: differences.image,
            capabilities: Capabilities::OF_RUNTIMES_OF_IMAGES,
            networks: &[Network::None, Network::Loopback],
            ..container_peer("lxc", description)
        })
    }
}

impl Target for Lxc {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, host: &HostReport) -> Availability {
        PROGRAM.availability(|_| needs_root(self.0.name, host))
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let lxc_execute = PROGRAM.path()?;
        let mounts = context.files(|_| mounts())?;
        let roots = Roots::in_namespace(context, &["proc", "dev", "sys"], &mounts)?;
        let containers = context.files(|directory| {
            let (state, profile) = (directory.join("state"), directory.join("seccomp.policy"));
            fs::create_dir(&state)?;
            fs::write(&profile, policy()?)?;
            Ok(Containers {
                lxc_execute,
                directory: directory.to_owned(),
                roots,
                state,
                profile,
                mounts,
                names: InstanceNames::of(context.session),
            })
        })?;
        Ok(Box::new(containers))
    }
}

/// A mount namespace that has only those hierarchies of cgroups v1 that LXC can use.
fn mounts() -> io::Result<MountNamespace> {
    let is_unusable = |mount: &PathBuf| {
        let name = mount.file_name().unwrap_or_default();
        // Only cgroups v2 are mounted at /sys/fs/cgroup itself.
        name != "cgroup" && HIERARCHIES.iter().all(|usable| name != *usable)
    };
    let mut hidden = hidden_directories();
    hidden.extend(hierarchies().into_iter().filter(is_unusable));
    hidden.sort();
    hidden.dedup();
    MountNamespace::new(&hidden)
}

/// A prepared LXC.
#[derive(Debug)]
struct Containers {
    lxc_execute: PathBuf,
    directory: PathBuf,
    roots: Roots,
    state: PathBuf,
    /// The file with the seccomp policy in LXC's language.
    profile: PathBuf,
    mounts: MountNamespace,
    names: InstanceNames,
}

impl Prepared for Containers {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let name = self.names.next();
        let directory = self.directory.join(&name);
        fs::create_dir(&directory)?;
        let file = directory.join("config");
        let root = self.roots.instance(launch)?;
        fs::write(&file, config(launch, &root, &self.profile)?)?;
        let mut command = CommandLine::new(&self.lxc_execute)
            .args(["--name", &name, "--lxcpath"])
            .args([&self.state])
            .args(["--rcfile".as_ref(), file.as_os_str()]);
        // If LXC finds newuidmap, it asks that program for ids, and root gets none. This PATH hides
        // newuidmap, so LXC writes the map itself.
        command.environment = vec!["PATH=/".into()];
        command.mounts = Some(self.mounts.clone());
        command.pipes_for = Some(host_user(&root.user));
        command.endings.ambiguous = &[NOT_STARTED];
        command.leftovers = Leftovers {
            deletion: None,
            mounted: root.mounted,
            directory: Some(directory),
            cgroups: peer_cgroups(&launch.cgroups),
        };
        Ok(command
            .args(["--"])
            .args([&root.program])
            .args(&launch.arguments))
    }
}

/// The configuration of one instance (lxc.container.conf(5)).
fn config(launch: &Launch, root: &InstanceRoot, policy: &Path) -> io::Result<String> {
    let path = |path: &Path| utf8(path.as_os_str());
    let mut lines = vec![
        format!("rootfs.path = dir:{}", path(&root.directory)?),
        format!("init.cwd = {}", path(&root.working_directory)?),
        format!("init.uid = {}", root.user.uid),
        format!("init.gid = {}", root.user.gid),
        format!("idmap = u 0 {FIRST_HOST_ID} {ID_COUNT}"),
        format!("idmap = g 0 {FIRST_HOST_ID} {ID_COUNT}"),
        format!("seccomp.profile = {}", path(policy)?),
    ];
    let fixed = [
        "net.0.type = empty",
        "mount.auto = proc:rw",
        "autodev = 1",
        "cap.keep = none",
        "no_new_privs = 1",
        "tty.max = 0",
        "uts.name = isobench",
        "console.path = none",
    ];
    lines.extend(fixed.map(str::to_owned));
    if launch.network == Some(Network::Loopback) {
        lines.push("net.0.flags = up".to_owned());
    }
    let instance = launch.cgroups.first().and_then(|limits| limits.parent());
    if let Some(cgroup) = instance.and_then(path_below_first_process) {
        let cgroup = path(&cgroup)?;
        let cgroup = cgroup.trim_start_matches('/');
        for (key, child) in [
            ("container", "limits"),
            ("monitor", "monitor"),
            ("monitor.pivot", "pivot"),
        ] {
            lines.push(format!("cgroup.dir.{key} = {cgroup}/{child}"));
        }
    }
    for variable in &launch.environment {
        lines.push(format!("environment = {}", utf8(variable)?));
    }
    // Images have pseudo-terminals, as in isobench's container.
    let terminals = if root.mounted.is_some() { 1024 } else { 0 };
    lines.push(format!("pty.max = {terminals}"));
    if root.mounted.is_some() {
        let options = "nosuid,nodev,noexec,mode=1777,create=dir";
        lines.push(format!("mount.entry = shm dev/shm tmpfs {options} 0 0"));
    }
    for (source, place) in binds(launch) {
        // A space is written as in fstab(5).
        let source = path(source)?.replace(' ', "\\040");
        let point = place.trim_start_matches('/');
        lines.push(format!("mount.entry = {source} {point} none bind 0 0"));
    }
    Ok(lines.iter().fold(String::new(), |mut text, line| {
        // Writing to a string can't fail.
        let _ = writeln!(text, "lxc.{line}");
        text
    }))
}

/// The container's seccomp policy in LXC's language, version 2. Each line is a rule, and a call
/// runs if one rule allows the call.
fn policy() -> io::Result<String> {
    let mut text = format!("2\nallowlist errno {}\n[x86_64]\n", libc::EPERM);
    for rule in oci_config::rules().map_err(io::Error::other)? {
        let action = match rule.errno_ret() {
            Some(errno) => format!("errno {errno}"),
            None => "allow".to_owned(),
        };
        let condition = rule.args().as_ref().and_then(|args| args.first());
        let condition = condition.map_or_else(String::new, |arg| {
            let second = arg
                .value_two()
                .map_or_else(String::new, |v| format!(",{v}"));
            format!(" [{},{},{}{second}]", arg.index(), arg.value(), arg.op())
        });
        for name in rule.names() {
            let _ = writeln!(text, "{name} {action}{condition}");
        }
    }
    Ok(text)
}
