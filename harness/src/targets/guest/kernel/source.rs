//! The kernel's source: Debian's package, another archive, or a tree.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Architecture, KernelError};

/// The directory into which Debian's package puts its archive.
const DEBIAN_DIRECTORY: &str = "/usr/src";

/// A source to build from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An archive that has to be unpacked.
    Archive {
        /// The path of the file.
        path: PathBuf,
        /// The package and its version, or the file's name, size and date.
        label: String,
    },
    /// A tree, which may change between two builds.
    Tree(PathBuf),
}

impl Source {
    /// Finds the source `named` by the user, otherwise the newest archive of Debian's packages that
    /// fits `architecture`.
    ///
    /// # Errors
    /// [`KernelError::NoSource`], or [`KernelError::BadSource`] for the named file or directory.
    pub fn find(architecture: Architecture, named: Option<&Path>) -> Result<Self, KernelError> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => newest(Path::new(DEBIAN_DIRECTORY), architecture.source_prefix())
                .ok_or_else(|| KernelError::NoSource(DEBIAN_DIRECTORY.into()))?,
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
            return Err(bad("it is neither a directory nor a tar archive"));
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

    /// The source's name and version, for the record of a build.
    pub fn label(&self) -> String {
        match self {
            Self::Archive { label, .. } => label.clone(),
            Self::Tree(path) => path.display().to_string(),
        }
    }
}

/// Checks that `tree` looks like a kernel's source, and holds no build.
///
/// # Errors
/// [`KernelError::BadSource`]
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
            "it contains a build; run `make mrproper` in this directory".to_owned(),
        ));
    }
    Ok(())
}

/// The path of the archive with the highest version in `directory` whose name begins with `prefix`.
fn newest(directory: &Path, prefix: &str) -> Option<PathBuf> {
    let names = fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| name.starts_with(prefix) && name.contains(".tar"))
        .max_by_key(|name| numbers(name))
        .map(|name| directory.join(name))
}

/// The numbers in a name. Their order is that of the versions.
fn numbers(name: &str) -> Vec<u32> {
    name.split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

/// The package and the version of a file that Debian's package manager has installed.
pub(super) fn package_version(path: &Path) -> Option<String> {
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
        assert_eq!(newest(directory.path(), "linux-source-"), None);
        for name in [
            "linux-source-6.1.tar.xz",
            "linux-source-6.12.tar.xz",
            "linux-source-6.9.tar.xz",
            "linux-source-7",
        ] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        assert_eq!(
            newest(directory.path(), "linux-source-6."),
            Some(directory.path().join("linux-source-6.12.tar.xz"))
        );
        assert_eq!(
            newest(directory.path(), "linux-source-6.1."),
            Some(directory.path().join("linux-source-6.1.tar.xz"))
        );
    }

    #[test]
    fn the_error_for_a_bad_source_has_its_reason() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        for (path, reason) in [
            (directory.path().join("missing"), "No such file"),
            (file, "it is neither a directory"),
            (directory.path().to_owned(), "it has no Kconfig"),
        ] {
            let error = Source::find(Architecture::Um, Some(&path)).unwrap_err();
            assert!(error.is_bad_input(), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
