//! What the adapters of container runtimes share: the directory that becomes the root, the files
//! that are bound into the root, and the cgroups and mounts around an instance.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use isobench_container::Network;
use isobench_reports::model::TargetFamily;

use crate::host::accounting::{counterparts, path_in_hierarchy};
use crate::host::mounts::MountNamespace;
use crate::host::session::SessionName;
use crate::targets::prepare::place_program;
use crate::targets::{InsidePath, Launch, TargetInfo};

/// The path inside at which the disk file is bound.
pub const DISK: &str = "/disk";
/// The path inside at which the directory for files is bound.
pub const FILES: &str = "/files";

/// What differs with every peer whose seccomp filter libseccomp compiles.
pub const LIBSECCOMP_DIFFERENCE: &str = "libseccomp compiles the seccomp filter at each start, \
    from \
    the same policy; the filter compares 64 bits of an argument";

/// What differs with every peer whose program is process 1 of its PID namespace.
pub const PROCESS_1_DIFFERENCE: &str = "the program is process 1 of its PID namespace: a signal \
    that it doesn't handle doesn't end it, and no process forwards signals and reaps orphans";

/// The description of a container runtime that binds the disk file and the directory for files into
/// its root, and brings the loopback up.
pub fn container_peer(name: &'static str, description: &'static str) -> TargetInfo {
    TargetInfo {
        disk: InsidePath::At(DISK),
        files: Some(InsidePath::At(FILES)),
        networks: &[Network::Loopback],
        ..TargetInfo::peer(TargetFamily::Container, name, description)
    }
}

/// Gives numbers to the instances of one prepared peer.
#[derive(Debug, Default)]
pub struct InstanceCounter(Cell<u64>);

impl InstanceCounter {
    /// The next number, which no earlier call returned.
    pub fn next(&self) -> u64 {
        let number = self.0.get();
        self.0.set(number + 1);
        number
    }
}

/// Gives names to the instances of one prepared peer.
///
/// The names are like none of another run. Runtimes make more of a name than files in the run's
/// directory: runsc's sandbox listens at an abstract socket of that name, which every runsc in the
/// same network namespace sees.
#[derive(Debug)]
pub struct InstanceNames {
    prefix: SessionName,
    counter: InstanceCounter,
}

impl InstanceNames {
    /// The names for one prepared peer of the run `session`.
    pub fn of(session: &SessionName) -> Self {
        Self {
            prefix: session.next(),
            counter: InstanceCounter::default(),
        }
    }

    /// The next name.
    pub fn next(&self) -> String {
        format!("{}.{}", self.prefix, self.counter.next())
    }
}

/// Makes the directory `layer` in `directory`, with `program` and mount points inside. The
/// container's root, which is another user on the host, may enter both directories.
pub fn make_layer(program: &Path, directory: &Path, mount_points: &[&str]) -> io::Result<PathBuf> {
    let layer = directory.join("layer");
    place_program(program, &layer)?;
    for mount_point in mount_points {
        fs::create_dir(layer.join(mount_point))?;
    }
    fs::write(layer.join(DISK.trim_start_matches('/')), "")?;
    fs::create_dir(layer.join(FILES.trim_start_matches('/')))?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o711))?;
    fs::set_permissions(&layer, fs::Permissions::from_mode(0o755))?;
    Ok(layer)
}

/// A mount namespace for runtimes, in which [`hidden_directories`] are covered.
pub fn runtime_mounts() -> io::Result<MountNamespace> {
    MountNamespace::new(&hidden_directories())
}

/// The directories that runtimes must not see. A runtime must neither find the host's files in
/// `/run` nor leave files there. On a hybrid host, crun 1.8 refuses the second cgroup hierarchy, in
/// which nothing is measured.
pub fn hidden_directories() -> Vec<PathBuf> {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let mut hidden = vec![PathBuf::from("/run")];
    hidden.extend(unified.is_dir().then(|| unified.to_owned()));
    hidden
}

/// The path in its hierarchy of the instance's cgroup, in which a runtime makes cgroups of its own.
/// `cgroups` are those of the launch.
pub fn instance_cgroup(cgroups: &[PathBuf]) -> Option<PathBuf> {
    path_in_hierarchy(cgroups.first()?.parent()?)
}

/// The cgroups that a runtime makes for an instance outside of the instance's own cgroup. `cgroups`
/// are those of the launch.
pub fn peer_cgroups(cgroups: &[PathBuf]) -> Vec<PathBuf> {
    let instance = cgroups.first().and_then(|directory| directory.parent());
    instance.map_or_else(Vec::new, counterparts)
}

/// The disk file and the directory for files of a launch, each with its path inside.
pub fn binds<'a>(launch: &Launch<'a>) -> impl Iterator<Item = (&'a Path, &'static str)> {
    let binds = [(launch.disk, DISK), (launch.files, FILES)];
    binds
        .into_iter()
        .filter_map(|(source, inside)| Some((source?, inside)))
}

/// A bind as an option of several runtimes, `SOURCE:INSIDE`. Neither path contains a colon.
pub fn bind_option((source, inside): (&Path, &str)) -> PathBuf {
    let mut option = source.as_os_str().to_owned();
    option.push(":");
    option.push(inside);
    option.into()
}

/// The option of runtimes and engines by which the launch's descriptors are passed on.
pub fn preserve_option(launch: &Launch) -> Option<String> {
    let count = launch.preserved.len();
    (count > 0).then(|| format!("--preserve-fds={count}"))
}

/// Converts `text` for an interface that takes only UTF-8.
pub fn utf8(text: &OsStr) -> io::Result<String> {
    text.to_str().map(str::to_owned).ok_or_else(|| {
        let what = format!("{} is not UTF-8", text.display());
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}
