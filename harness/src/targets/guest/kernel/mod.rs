//! The kernel that Linux guests boot: where the kernel is found, and how it is built.
//!
//! `isobench kernel build` puts the kernel into a cache outside of the source tree. The cache never
//! holds an unfinished kernel: a build works in a directory of its own, and moves the finished
//! kernel into place by renaming.

mod architecture;
pub mod build;
mod configuration;
mod source;
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use architecture::Architecture;
pub use configuration::Configuration;

/// The file name of the compressed kernel, for VMMs that boot no ELF file.
const BZIMAGE: &str = "bzImage";
/// The file name of the record about both.
const RECORD: &str = "kernel.json";

/// How a kernel was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The kernel's version, as `uname -r` prints it.
    pub version: String,
    /// The kernel's source, with the source's version.
    pub source: String,
    /// SHA-256 of the kernel's configuration, in hexadecimal. Empty if a distribution built the kernel.
    pub configuration: String,
    /// The compiler and the linker, with their versions. Empty if a distribution built the kernel.
    pub toolchain: String,
}

/// A kernel on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The file to boot.
    pub image: PathBuf,
    /// The same kernel in compressed format, if there is one.
    pub bzimage: Option<PathBuf>,
    /// How the kernel was built, if that is known.
    pub record: Option<BuildRecord>,
}

/// There is no kernel to boot, or none could be built.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// No kernel has been built.
    #[error(
        "there is no guest kernel; build one with `{}`, which takes some minutes, or name one with \
         {}=FILE", .0.build_command(), .0.variable()
    )]
    Absent(Architecture),
    /// The file that the user named doesn't exist.
    #[error("the kernel {} is no file; correct {}", .path.display(), .architecture.variable())]
    NoFile {
        /// The file's path.
        path: PathBuf,
        /// What the kernel was to run on.
        architecture: Architecture,
    },
    /// There is no directory for the cache.
    #[error(
        "neither XDG_CACHE_HOME nor HOME is set; set one of them to a directory for the kernel"
    )]
    NoCache,
    /// Programs or headers for the build are missing.
    #[error(
        "a kernel's build needs {}; install with: apt-get install --no-install-recommends {}",
        .missing.join(", "),
        .packages.join(" ")
    )]
    Tools {
        /// The missing programs and headers.
        missing: Vec<String>,
        /// The packages of Debian that contain them.
        packages: Vec<String>,
    },
    /// There is no source.
    #[error(
        "there is no kernel source in {}; install with: apt-get install --no-install-recommends \
         linux-source-6.1, or name a tree or an archive with --source",
        .0.display()
    )]
    NoSource(PathBuf),
    /// The file or directory that the user named is no kernel source.
    #[error("{} is no kernel source: {reason}", .path.display())]
    BadSource {
        /// The file or directory.
        path: PathBuf,
        /// Why it is no kernel source.
        reason: String,
    },
    /// The source's Kconfig left options out.
    #[error(
        "this source has no {0}; isobench's configuration is written for Linux 6.1, and this \
         source knows other options"
    )]
    Dropped(String),
    /// Another build is running.
    #[error("another build works in {}; wait until it has ended", .0.display())]
    Locked(PathBuf),
    /// A tool failed.
    #[error("the build failed: {what}; see {}", .log.display())]
    Failed {
        /// The step that failed.
        what: String,
        /// The file with the tools' output.
        log: PathBuf,
    },
    /// The user stopped the build.
    #[error("interrupted; the same command continues the build")]
    Interrupted,
    /// A file of the cache can't be read or written.
    #[error("cannot use {}", .path.display())]
    Cache {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: std::io::Error,
    },
}

impl KernelError {
    fn cache(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Cache { path, source }
    }

    /// Whether the user must change something before the same command can succeed.
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::Failed { .. } | Self::Interrupted | Self::Cache { .. }
        )
    }
}

/// Finds the kernel to boot: the kernel that [`Architecture::variable`] names, otherwise the latest
/// built kernel, otherwise the one of a distribution's package.
///
/// # Errors
/// [`KernelError::Absent`], or [`KernelError::NoFile`] for a named kernel that doesn't exist.
pub fn locate(architecture: Architecture) -> Result<Kernel, KernelError> {
    let named = env::var_os(architecture.variable()).filter(|value| !value.is_empty());
    if let Some(path) = named {
        return at(Path::new(&path), architecture);
    }
    let cache = cache()?;
    let wanted = Configuration::of(architecture).hash();
    let entries = fs::read_dir(&cache).into_iter().flatten().flatten();
    let built =
        entries.filter_map(|entry| at(&entry.path().join(architecture.image()), architecture).ok());
    built
        .filter(|kernel| {
            kernel
                .record
                .as_ref()
                .is_some_and(|record| record.configuration == wanted)
        })
        .max_by_key(|kernel| {
            fs::metadata(&kernel.image)
                .and_then(|data| data.modified())
                .ok()
        })
        .or_else(|| of_distribution(architecture))
        .ok_or(KernelError::Absent(architecture))
}

/// The kernel of a distribution's package, if there is one that boots our guests.
fn of_distribution(architecture: Architecture) -> Option<Kernel> {
    let image = Path::new(architecture.of_debian()?);
    if !image.is_file() {
        return None;
    }
    let package = source::package_version(image)?;
    let (_, version) = package.split_once(' ')?;
    Some(Kernel {
        image: image.to_owned(),
        bzimage: None,
        record: Some(BuildRecord {
            version: version.to_owned(),
            source: format!("Debian's package {package}"),
            configuration: String::new(),
            toolchain: String::new(),
        }),
    })
}

/// The kernel in the file `path`, with the other files in the same directory.
fn at(path: &Path, architecture: Architecture) -> Result<Kernel, KernelError> {
    let image = path.canonicalize().ok().filter(|path| path.is_file());
    let image = image.ok_or_else(|| KernelError::NoFile {
        path: path.to_owned(),
        architecture,
    })?;
    let record = fs::read(image.with_file_name(RECORD)).ok();
    Ok(Kernel {
        bzimage: Some(image.with_file_name(BZIMAGE)).filter(|other| other.is_file()),
        record: record.and_then(|text| serde_json::from_slice(&text).ok()),
        image,
    })
}

/// The directory of the built kernels.
fn cache() -> Result<PathBuf, KernelError> {
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
    Ok(base.ok_or(KernelError::NoCache)?.join("isobench/kernel"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_kernel_comes_with_the_files_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("vmlinux");
        let find = || at(&image, Architecture::X86_64);
        assert!(matches!(find(), Err(KernelError::NoFile { .. })));
        fs::write(&image, "kernel").unwrap();
        let alone = find().unwrap();
        assert_eq!((alone.bzimage, alone.record), (None, None));

        let record = BuildRecord {
            version: "6.1.1".into(),
            source: "a tree".into(),
            configuration: "00".into(),
            toolchain: "cc".into(),
        };
        fs::write(directory.path().join(BZIMAGE), "kernel").unwrap();
        fs::write(
            directory.path().join(RECORD),
            serde_json::to_vec(&record).unwrap(),
        )
        .unwrap();
        let whole = find().unwrap();
        assert!(whole.bzimage.is_some());
        assert_eq!(whole.record, Some(record));
    }
}
