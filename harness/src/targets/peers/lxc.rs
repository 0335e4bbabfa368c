//! LXC's `lxc-execute`: one program in a container described by a file of its own language.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use isobench_container::{FIRST_HOST_ID, ID_COUNT};
use isobench_reports::model::{TargetKind, Unavailable};

use super::{
    DISK, FILES, Program, binds, hidden_places, instance_cgroup, needs_root, oci_config,
    prepare_layer, stray_cgroups, utf8,
};
use crate::host::accounting::hierarchies;
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::CommandLine;
use crate::instance::command_line::Leftovers;
use crate::targets::{Launch, Target, inside_path};

/// The system-call policy, in the prepared directory.
const POLICY: &str = "seccomp.policy";
/// Hierarchies of cgroups v1 that LXC finds. In the others, cpuset above all, a new group must be filled in before a
/// process may join, and LXC does that only where it chooses the place.
const HIERARCHIES: [&str; 3] = ["memory", "pids", "devices"];

#[derive(Debug)]
pub struct Lxc {
    program: Program,
    mounts: OnceLock<MountNamespace>,
    instances: AtomicU64,
}

impl Default for Lxc {
    fn default() -> Self {
        Self {
            program: Program::new("lxc-execute", "install Debian's package `lxc`"),
            mounts: OnceLock::new(),
            instances: AtomicU64::new(0),
        }
    }
}

impl Target for Lxc {
    fn name(&self) -> &'static str {
        "lxc"
    }

    fn description(&self) -> &'static str {
        "LXC's lxc-execute: one program and an init, with the container's namespaces and seccomp policy."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "a directory as root, which its root, another user, can't write to: no overlayfs",
            "a cgroup for its monitor in addition; of cgroups v1 it finds memory, pids and devices alone, as it can't fill in a cpuset",
            "the seccomp filter is compiled from the same policy at each start, by libseccomp, which compares 64 bits of an argument",
            "the program's environment has what LXC adds",
        ]
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| needs_root(self.name(), host))
    }

    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        prepare_layer(program, root, &["proc", "dev", "sys"])?;
        fs::create_dir(root.join("state"))?;
        fs::write(root.join(POLICY), policy()?)?;
        let is_other = |mount: &PathBuf| {
            let name = mount.file_name().unwrap_or_default();
            // cgroups v2 alone are mounted on the directory itself.
            name != "cgroup" && HIERARCHIES.iter().all(|kept| name != *kept)
        };
        let mut hidden = hidden_places();
        hidden.extend(hierarchies().into_iter().filter(is_other));
        hidden.sort();
        hidden.dedup();
        let mounts = MountNamespace::new(hidden)?;
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
        let name = format!("isobench-{number}");
        let directory = launch.root.join(format!("instance-{number}"));
        fs::create_dir(&directory)?;
        let file = directory.join("config");
        fs::write(&file, config(launch)?)?;
        let mut command = CommandLine::new(self.program.path())
            .args(["--name", &name, "--lxcpath"])
            .args([launch.root.join("state")])
            .args(["--rcfile".as_ref(), file.as_os_str()]);
        // Where it finds newuidmap it asks that for ids, which gives root none; without it writes the map itself.
        command.environment = vec!["PATH=/".into()];
        command.mounts = self.mounts.get().cloned();
        command.leftovers = Leftovers {
            deletion: None,
            directory: Some(directory),
            cgroups: stray_cgroups(&launch.limits),
        };
        Ok(command
            .args(["--"])
            .args([inside_path(launch.program)])
            .args(&launch.arguments))
    }
}

/// lxc.container.conf(5)
fn config(launch: &Launch) -> io::Result<String> {
    let path = |path: &Path| utf8(path.as_os_str());
    let mut lines = vec![
        format!("rootfs.path = dir:{}", path(&launch.root.join("layer"))?),
        format!("idmap = u 0 {FIRST_HOST_ID} {ID_COUNT}"),
        format!("idmap = g 0 {FIRST_HOST_ID} {ID_COUNT}"),
        format!("seccomp.profile = {}", path(&launch.root.join(POLICY))?),
    ];
    let fixed = [
        "net.0.type = empty",
        "mount.auto = proc:rw",
        "autodev = 1",
        "cap.keep = none",
        "no_new_privs = 1",
        "pty.max = 0",
        "tty.max = 0",
        "uts.name = isobench",
        "console.path = none",
    ];
    lines.extend(fixed.map(str::to_owned));
    if let Some(cgroup) = instance_cgroup(&launch.limits) {
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
    for (source, place) in binds(launch) {
        // As in fstab(5).
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

/// The container's policy in LXC's language, version 2: a rule a line, of which one must hold.
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
