//! Peers: runtimes that people use, as reference points beside isobench's own rungs.
//!
//! Each is asked for its version once, and only if it is one of the targets chosen; a peer that isn't installed, hangs or
//! talks nonsense is a row with that reason. Each gets what isobench's container gets as far as its interface allows; what
//! differs is listed in [`Target::differences`](super::Target::differences).

mod bwrap;
mod containerd;
mod daemon;
mod docker;
mod lxc;
mod nspawn;
mod oci;
mod oci_config;
mod podman;
mod unshare;
mod vmm;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use isobench_reports::model::Unavailable;
use nix::unistd::geteuid;

use super::{Launch, Target, place_program};
use crate::host::accounting::{elsewhere, path_in_hierarchy};
use crate::host::facts::{HostReport, Need};
use crate::host::mounts::MountNamespace;
use crate::host::programs::Programs;
use crate::instance::bounded_command;
use crate::instance::command_line::CommandLine;

/// Where the disk file is bound to.
const DISK: &str = "/disk";
/// Where the directory for files is bound to.
const FILES: &str = "/files";
/// How long a peer may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(5);

/// All peers, those that start fast first; those that need a daemon with one of the run's own, if `start_daemons`.
pub(super) fn all(programs: &Programs, start_daemons: bool) -> Vec<Box<dyn Target>> {
    vec![
        Box::new(unshare::Unshare::default()),
        Box::new(bwrap::Bubblewrap::default()),
        Box::new(oci::Runtime::crun()),
        Box::new(lxc::Lxc::default()),
        Box::new(oci::Runtime::runc()),
        Box::new(oci::Runtime::youki()),
        Box::new(nspawn::Nspawn::default()),
        Box::new(oci::Runtime::runsc()),
        Box::new(containerd::Containerd::new(start_daemons)),
        Box::new(podman::Podman::default()),
        Box::new(docker::Docker::new(start_daemons)),
        Box::new(vmm::firecracker::Firecracker::new(&programs.workload)),
        Box::new(vmm::cloud_hypervisor::CloudHypervisor::new(
            &programs.workload,
        )),
        Box::new(vmm::qemu::Qemu::microvm(&programs.workload)),
        Box::new(vmm::qemu::Qemu::pc(&programs.workload)),
    ]
}

/// A peer's program, looked up on the `PATH` and asked for its version when that is first wanted.
#[derive(Debug)]
struct Program {
    name: &'static str,
    /// What brings it.
    fix: &'static str,
    found: OnceLock<Result<Found, Unavailable>>,
}

#[derive(Debug)]
struct Found {
    path: PathBuf,
    version: String,
}

impl Program {
    const fn new(name: &'static str, fix: &'static str) -> Self {
        Self {
            name,
            fix,
            found: OnceLock::new(),
        }
    }

    fn found(&self) -> Result<&Found, &Unavailable> {
        let looked_up = self.found.get_or_init(|| {
            self.look_up().map_err(|reason| Unavailable {
                reason,
                fix: self.fix.to_owned(),
            })
        });
        looked_up.as_ref()
    }

    /// The path to start it by.
    fn path(&self) -> PathBuf {
        self.found()
            .map_or_else(|_| self.name.into(), |found| found.path.clone())
    }

    fn version(&self) -> Option<String> {
        Some(self.found().ok()?.version.clone())
    }

    fn missing(&self) -> Option<Unavailable> {
        self.found().err().cloned()
    }

    fn look_up(&self) -> Result<Found, String> {
        let path =
            find_on_path(self.name).ok_or_else(|| format!("{} is not installed", self.name))?;
        let said = ask(&path, "--version")?;
        match version_in(&said) {
            Some(version) => Ok(Found { path, version }),
            None => Err(format!("`{} --version` names no version", path.display())),
        }
    }
}

/// What the program at `path` answers to one argument.
fn ask(path: &Path, argument: &str) -> Result<String, String> {
    let mut command = CommandLine::new(path).args([argument]);
    command.environment = path_variable();
    let said = bounded_command::run(&command, PATIENCE)
        .map_err(|error| format!("{} can't be run: {error}", path.display()))?;
    if said.well {
        return Ok(said.output);
    }
    let complaint = said.complaint();
    Err(format!(
        "`{} {argument}` failed or took more than {PATIENCE:?}: {complaint}",
        path.display()
    ))
}

/// The version in what a program says about itself: the first word that begins with a digit.
fn version_in(text: &str) -> Option<String> {
    let first = text.trim().lines().next()?;
    let words = first.split(|c: char| c.is_whitespace() || "(),".contains(c));
    let version = words
        .map(|word| word.strip_prefix('v').unwrap_or(word))
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some(version.chars().take(40).collect())
}

fn find_on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // An ordinary user's has no place for what root alone needs, and a runtime may be there.
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(usual)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// The one variable of the environment that runtimes need, to find their helpers.
fn path_variable() -> Vec<std::ffi::OsString> {
    let mut variable = std::ffi::OsString::from("PATH=");
    variable.push(std::env::var_os("PATH").unwrap_or_default());
    vec![variable]
}

/// What clients of daemons look at as well: who asks, and whom.
fn client_environment() -> Vec<std::ffi::OsString> {
    let names = ["HOME", "DOCKER_HOST", "DOCKER_CONFIG", "CONTAINERD_ADDRESS"];
    let set = names.iter().filter_map(|name| {
        let mut variable = std::ffi::OsString::from(format!("{name}="));
        variable.push(std::env::var_os(name)?);
        Some(variable)
    });
    path_variable().into_iter().chain(set).collect()
}

/// What a runtime that isobench runs as root alone, in a cgroup of the instance's, finds missing.
fn needs_root(name: &str, host: &HostReport) -> Option<Unavailable> {
    if !geteuid().is_root() {
        return Some(Unavailable {
            reason: format!("isobench runs {name} as root alone"),
            fix: "run isobench as root".to_owned(),
        });
    }
    host.lacks(Need::UserNamespaces)
        .or_else(|| host.lacks(Need::MemoryCgroup))
}

/// Puts `program` into `root`/layer, with mount points, and lets the container's root, another user, get there.
fn prepare_layer(program: &Path, root: &Path, mount_points: &[&str]) -> io::Result<PathBuf> {
    let layer = root.join("layer");
    place_program(program, &layer)?;
    for mount_point in mount_points {
        fs::create_dir(layer.join(mount_point))?;
    }
    fs::write(layer.join(DISK.trim_start_matches('/')), "")?;
    fs::create_dir(layer.join(FILES.trim_start_matches('/')))?;
    fs::set_permissions(root, fs::Permissions::from_mode(0o711))?;
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o755))?;
    Ok(layer)
}

/// A mount namespace for runtimes: `/run` is empty, so that nothing of the host's is found or left there; and the second
/// cgroup hierarchy of a hybrid host is hidden, which crun 1.8 refuses and which holds nothing that is measured.
fn runtime_mounts() -> io::Result<MountNamespace> {
    MountNamespace::new(hidden_places())
}

fn hidden_places() -> Vec<PathBuf> {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let mut hidden = vec![PathBuf::from("/run")];
    hidden.extend(unified.is_dir().then(|| unified.to_owned()));
    hidden
}

/// The instance's cgroup, in which a runtime is to make its own: its place in the hierarchies.
fn instance_cgroup(limits: &[PathBuf]) -> Option<PathBuf> {
    path_in_hierarchy(limits.first()?.parent()?)
}

/// What is bound into an instance, each with its place inside: the disk file, the directory for files.
fn binds<'a>(launch: &Launch<'a>) -> impl Iterator<Item = (&'a Path, &'static str)> {
    let binds = [(launch.disk, DISK), (launch.files, FILES)];
    binds
        .into_iter()
        .filter_map(|(source, place)| Some((source?, place)))
}

/// What is bound and its place inside, as options of several runtimes have it. Neither path holds a colon: the command
/// checks the user's, and the run's own has none.
fn bind_option((source, place): (&Path, &str)) -> PathBuf {
    let mut option = source.as_os_str().to_owned();
    option.push(":");
    option.push(place);
    option.into()
}

/// The cgroups that a runtime makes for an instance outside of its accounting group, which holds `limits`.
fn stray_cgroups(limits: &[PathBuf]) -> Vec<PathBuf> {
    let instance = limits.first().and_then(|limits| limits.parent());
    instance.map_or_else(Vec::new, elsewhere)
}

/// `text` for an interface that takes nothing but UTF-8.
fn utf8(text: &OsStr) -> io::Result<String> {
    text.to_str().map(str::to_owned).ok_or_else(|| {
        let what = format!("{} is not UTF-8", text.display());
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (said, version) in [
            ("runc version 1.1.5+ds1\ncommit: 1.1.5", "1.1.5+ds1"),
            ("bubblewrap 0.8.0\n", "0.8.0"),
            ("unshare from util-linux 2.38.1", "2.38.1"),
            ("systemd 252 (252.39-1~deb12u2)", "252"),
            ("Docker version 28.2.2, build e6534b4", "28.2.2"),
            ("ctr v1.7.2", "1.7.2"),
            ("5.0.2\n", "5.0.2"),
        ] {
            assert_eq!(version_in(said).as_deref(), Some(version));
        }
        for nonsense in ["", "\n\n", "hello", "version: none"] {
            assert_eq!(version_in(nonsense), None, "{nonsense}");
        }
        assert_eq!(version_in(&"1".repeat(1000)).unwrap().len(), 40);
    }
}
