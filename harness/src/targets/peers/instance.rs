//! What the adapters of container runtimes share: the directory that is the root, what is bound
//! into it, and the cgroups and mounts around an instance.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use isobench_reports::model::TargetFamily;

use crate::host::accounting::{counterparts, path_in_hierarchy};
use crate::host::mounts::MountNamespace;
use crate::targets::prepare::place_program;
use crate::targets::{Launch, Place, TargetInfo};

/// Where the disk file is bound to.
pub const DISK: &str = "/disk";
/// Where the directory for files is bound to.
pub const FILES: &str = "/files";

/// A container runtime that binds the disk file and the directory for files into its root.
pub fn binding_peer(name: &'static str, description: &'static str) -> TargetInfo {
    TargetInfo {
        disk: Place::At(DISK),
        files: Some(Place::At(FILES)),
        ..TargetInfo::peer(TargetFamily::Container, name, description)
    }
}

/// Numbers the instances of one prepared peer.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// A number that no earlier call gave.
    pub fn next(&self) -> u64 {
        let number = self.0.get();
        self.0.set(number + 1);
        number
    }
}

/// Puts `program` into the directory `layer` below `directory`, with mount points, and lets the
/// container's root, another user, get there.
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

/// A mount namespace for runtimes, without what [`hidden_places`] names.
pub fn runtime_mounts() -> io::Result<MountNamespace> {
    MountNamespace::new(hidden_places())
}

/// `/run`, so that nothing of the host's is found or left there; and the second cgroup hierarchy of a
/// hybrid host, which crun 1.8 refuses and which holds nothing that is measured.
pub fn hidden_places() -> Vec<PathBuf> {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let mut hidden = vec![PathBuf::from("/run")];
    hidden.extend(unified.is_dir().then(|| unified.to_owned()));
    hidden
}

/// The instance's cgroup, in which a runtime makes its own: its place in the hierarchies.
pub fn instance_cgroup(limits: &[PathBuf]) -> Option<PathBuf> {
    path_in_hierarchy(limits.first()?.parent()?)
}

/// The cgroups that a runtime makes for an instance outside of its accounting group, which holds
/// `limits`.
pub fn stray_cgroups(limits: &[PathBuf]) -> Vec<PathBuf> {
    let instance = limits.first().and_then(|limits| limits.parent());
    instance.map_or_else(Vec::new, counterparts)
}

/// What is bound into an instance, with the place inside: the disk file, the directory for files.
pub fn binds<'a>(launch: &Launch<'a>) -> impl Iterator<Item = (&'a Path, &'static str)> {
    let binds = [(launch.disk, DISK), (launch.files, FILES)];
    binds
        .into_iter()
        .filter_map(|(source, place)| Some((source?, place)))
}

/// What is bound and its place inside, as options of several runtimes have it. Neither path holds a
/// colon: the command checks the user's, and the run's own has none.
pub fn bind_option((source, place): (&Path, &str)) -> PathBuf {
    let mut option = source.as_os_str().to_owned();
    option.push(":");
    option.push(place);
    option.into()
}

/// `text` for an interface that takes nothing but UTF-8.
pub fn utf8(text: &OsStr) -> io::Result<String> {
    text.to_str().map(str::to_owned).ok_or_else(|| {
        let what = format!("{} is not UTF-8", text.display());
        io::Error::new(io::ErrorKind::InvalidInput, what)
    })
}
