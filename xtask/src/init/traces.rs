//! What programs can leave on a machine: processes, mounts, cgroups, network links.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A look at all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// Looks now.
    pub fn look() -> Self {
        let mut found = BTreeSet::new();
        found.extend(processes());
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        found.extend(mounts.lines().map(mount));
        cgroups(Path::new("/sys/fs/cgroup"), &mut found);
        found.extend(
            entries(Path::new("/sys/class/net")).map(|path| format!("link {}", path.display())),
        );
        Self(found)
    }

    /// What is here and was not in `before`.
    pub fn since(&self, before: &Self) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

/// Processes that have a program: the kernel's own have none.
fn processes() -> impl Iterator<Item = String> {
    entries(Path::new("/proc")).filter_map(|path| {
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let program = fs::read_link(path.join("exe")).ok()?;
        Some(format!("process {number} ({})", program.display()))
    })
}

fn mount(line: &str) -> String {
    let place = line.split(' ').nth(1).unwrap_or(line);
    format!("mount {place}")
}

fn cgroups(directory: &Path, found: &mut BTreeSet<String>) {
    for path in entries(directory).filter(|path| path.is_dir()) {
        cgroups(&path, found);
        found.insert(format!("cgroup {}", path.display()));
    }
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_process_is_seen_and_an_old_one_is_not() {
        let before = Traces::look();
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let name = format!("process {} ", child.id());
        let seen = |left: &[String]| left.iter().any(|trace| trace.starts_with(&name));
        assert!(seen(&Traces::look().since(&before)));
        assert!(!seen(&Traces::look().since(&Traces::look())));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!seen(&Traces::look().since(&before)));
    }

    #[test]
    fn a_mount_is_named_by_its_place() {
        assert_eq!(mount("tmpfs /dev/shm tmpfs rw 0 0"), "mount /dev/shm");
    }
}
