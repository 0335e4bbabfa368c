//! Where the kernel's source comes from: Debian's package, an archive, or a tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::KernelError;

/// Where Debian's package puts its archive.
const DEBIAN: &str = "/usr/src";
/// The archive's name begins so and goes on with the version.
const DEBIAN_START: &str = "linux-source-";

/// A source to build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An archive, to be unpacked.
    Archive {
        /// The file.
        path: PathBuf,
        /// What it is: the package and its version, or the file's name, size and date.
        label: String,
    },
    /// A tree; it may change between two builds.
    Tree(PathBuf),
}

impl Source {
    /// The one `named` by the user, else the newest that Debian's packages have put on this host.
    ///
    /// # Errors
    /// There is none, or what was named isn't one.
    pub fn find(named: Option<&Path>) -> Result<Self, KernelError> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => {
                newest(Path::new(DEBIAN)).ok_or_else(|| KernelError::NoSource(DEBIAN.into()))?
            }
        };
        let bad = |reason: &str| KernelError::BadSource {
            path: path.clone(),
            reason: reason.to_owned(),
        };
        let metadata = fs::metadata(&path).map_err(|error| bad(&error.to_string()))?;
        if metadata.is_dir() {
            check_tree(&path)?;
            let absolute = path
                .canonicalize()
                .map_err(|error| bad(&error.to_string()))?;
            return Ok(Self::Tree(absolute));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !name.contains(".tar") {
            return Err(bad("neither a directory nor a tar archive"));
        }
        let label = package_version(&path).unwrap_or_else(|| {
            let date = metadata
                .modified()
                .ok()
                .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
            format!(
                "{name} {} {}",
                metadata.len(),
                date.unwrap_or_default().as_secs()
            )
        });
        Ok(Self::Archive { path, label })
    }

    /// What it is, with its version.
    pub fn label(&self) -> String {
        match self {
            Self::Archive { label, .. } => label.clone(),
            Self::Tree(path) => path.display().to_string(),
        }
    }
}

/// Whether `tree` looks like the kernel's.
pub fn check_tree(tree: &Path) -> Result<(), KernelError> {
    let bad = |reason: String| KernelError::BadSource {
        path: tree.to_owned(),
        reason,
    };
    for part in ["Kconfig", "Makefile", "arch/x86/Makefile"] {
        if !tree.join(part).is_file() {
            return Err(bad(format!("it has no {part}")));
        }
    }
    if tree.join(".config").exists() {
        return Err(bad(
            "it holds a build of its own; run `make mrproper` in it".to_owned(),
        ));
    }
    Ok(())
}

/// The archive with the highest version.
fn newest(directory: &Path) -> Option<PathBuf> {
    let names = fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(DEBIAN_START) && name.contains(".tar"))
        .max_by_key(|name| numbers(name))
        .map(|name| directory.join(name))
}

/// The numbers in a name, to compare versions by.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// Package and version of a file that Debian's package manager has installed.
fn package_version(path: &Path) -> Option<String> {
    let owner = output(Command::new("dpkg-query").arg("--search").arg(path))?;
    let package = owner.split_once(':')?.0.to_owned();
    let version =
        output(Command::new("dpkg-query").args(["--show", "--showformat=${Version}", &package]))?;
    Some(format!("{package} {version}"))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_archive_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(newest(directory.path()), None);
        for name in [
            "linux-source-6.1.tar.xz",
            "linux-source-6.12.tar.xz",
            "linux-source-6.9.tar.xz",
            "linux-source-7",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(
            newest(directory.path()),
            Some(directory.path().join("linux-source-6.12.tar.xz"))
        );
    }

    #[test]
    fn what_is_no_source_is_refused_with_the_reason() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        for (path, reason) in [
            (directory.path().join("missing"), "No such file"),
            (file, "neither a directory"),
            (directory.path().to_owned(), "it has no Kconfig"),
        ] {
            let error = Source::find(Some(&path)).unwrap_err();
            assert!(
                error.is_bad_input() && error.to_string().contains(reason),
                "{error}"
            );
        }
    }
}
