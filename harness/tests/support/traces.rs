//! Traces that a run may leave: temporary files, mounts, processes, cgroups.

use std::fs;
use std::path::{Path, PathBuf};

use super::place::Place;

/// Asserts that nothing is left of the session of process `pid`, which ran in `place`.
#[track_caller]
pub fn assert_none(pid: u32, place: &Place, when: &str) {
    let nothing = Vec::<PathBuf>::new();
    assert_eq!(processes_of(pid), nothing, "processes are left {when}");
    assert_eq!(cgroups_of(pid), nothing, "cgroups are left {when}");
    assert_eq!(mounts_in(place), [""; 0], "mounts are left {when}");
    assert_eq!(temporary_files(place), nothing, "files are left {when}");
}

/// The files in the temporary directory of a place.
pub fn temporary_files(place: &Place) -> Vec<PathBuf> {
    entries(&place.path("tmp"))
}

/// The paths in a directory. There are none if the directory can't be read.
pub fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The cgroups of the session of process `pid`, in every hierarchy.
fn cgroups_of(pid: u32) -> Vec<PathBuf> {
    cgroups_named(&format!("isobench-{pid}-"))
}

/// The cgroups whose names begin with `prefix`, in every hierarchy. A cgroup within one of them
/// isn't listed.
pub fn cgroups_named(prefix: &str) -> Vec<PathBuf> {
    let is_of_session = |path: &Path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(prefix)
    };
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(directory) = pending.pop() {
        for path in entries(&directory) {
            if is_of_session(&path) {
                found.push(path);
            } else if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            }
        }
    }
    found
}

/// Processes of the session of process `pid`: they are in a cgroup of the session, or their command
/// line names its scratch directory, as that of a daemon does.
fn processes_of(pid: u32) -> Vec<PathBuf> {
    let session = format!("/isobench-{pid}-");
    let names_it = |path: PathBuf| {
        let text = fs::read(path).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(&session)
    };
    let mut processes = entries(Path::new("/proc"));
    processes.retain(|path| names_it(path.join("cgroup")) || names_it(path.join("cmdline")));
    processes
}

/// The mounts below a place.
fn mounts_in(place: &Place) -> Vec<String> {
    let directory = place.directory().display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = mounts.lines().filter(|line| line.contains(&directory));
    lines.map(str::to_owned).collect()
}
