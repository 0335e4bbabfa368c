//! The guest kernel that Linux guests boot: where it is, and how it's built.
//!
//! `isobench kernel build` puts it into a cache outside of the source tree. What is there is whole: a build works
//! beside its place and is renamed into it at the end.

pub mod build;
mod configuration;
mod source;
mod toolchain;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use configuration::Configuration;

/// The variable that names a kernel to use.
pub const VARIABLE: &str = "ISOBENCH_KERNEL";
/// The uncompressed kernel, an ELF file: what starts soonest.
const VMLINUX: &str = "vmlinux";
/// The compressed one, for VMMs that take nothing else.
const BZIMAGE: &str = "bzImage";
/// What is known of both.
const RECORD: &str = "kernel.json";

/// How a kernel was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its version, as `uname -r` has it.
    pub version: String,
    /// The source that it was built from, with its version.
    pub source: String,
    /// SHA-256 of its configuration, in hexadecimal.
    pub configuration: String,
    /// What compiled and linked it.
    pub toolchain: String,
}

/// A kernel on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The file to boot.
    pub image: PathBuf,
    /// The same in the other format, where there is one.
    pub bzimage: Option<PathBuf>,
    /// How it was made, where that is known.
    pub record: Option<Record>,
}

/// There is no kernel to boot, or none could be built.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// None was built so far.
    #[error(
        "there is no guest kernel; build one with `isobench kernel build`, in some minutes, or name one with --kernel FILE"
    )]
    Absent,
    /// One was named that isn't there.
    #[error("the kernel {} is no file; correct --kernel or {VARIABLE}", .0.display())]
    NoFile(PathBuf),
    /// No directory to keep it in.
    #[error("neither XDG_CACHE_HOME nor HOME is set; set one to say where the kernel is kept")]
    NoCache,
    /// Programs or headers are missing.
    #[error("a kernel's build needs {}; install with: apt-get install --no-install-recommends {}", .missing.join(", "), .packages.join(" "))]
    Tools {
        /// What is missing.
        missing: Vec<String>,
        /// Debian's packages that have it.
        packages: Vec<String>,
    },
    /// There is no source.
    #[error("there is no kernel source in {}; install with: apt-get install --no-install-recommends linux-source-6.1, or name a tree or an archive with --source", .0.display())]
    NoSource(PathBuf),
    /// The source given isn't one.
    #[error("{} is no kernel source: {reason}", .path.display())]
    BadSource {
        /// What was given.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The source's Kconfig left options out.
    #[error(
        "this source has no {0}; its configuration differs from the one that isobench's fragment is written for (6.1)"
    )]
    Dropped(String),
    /// Another build is running.
    #[error("another build works in {}; wait for it", .0.display())]
    Locked(PathBuf),
    /// A tool failed.
    #[error("the build failed: {what}; see {}", .log.display())]
    Failed {
        /// Which step.
        what: String,
        /// What the tools said.
        log: PathBuf,
    },
    /// The user stopped it.
    #[error("interrupted; the same command goes on with it")]
    Interrupted,
    /// A file of the cache.
    #[error("cannot use {}", .path.display())]
    Cache {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl KernelError {
    fn cache(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Cache { path, source }
    }

    /// Whether the user has to change something first.
    pub fn is_bad_input(&self) -> bool {
        !matches!(
            self,
            Self::Failed { .. } | Self::Interrupted | Self::Cache { .. }
        )
    }
}

/// Finds the kernel to boot: the one `named` by the user, else the one that [`VARIABLE`] names, else the built one.
///
/// # Errors
/// [`KernelError::Absent`], or [`KernelError::NoFile`] for a named one that isn't there.
pub fn locate(named: Option<&Path>) -> Result<Kernel, KernelError> {
    let variable = env::var_os(VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    if let Some(path) = named.map(Path::to_owned).or(variable) {
        return at(&path);
    }
    let cache = cache()?;
    let wanted = Configuration::own().hash();
    let entries = fs::read_dir(&cache).into_iter().flatten().flatten();
    let built = entries.filter_map(|entry| at(&entry.path().join(VMLINUX)).ok());
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
        .ok_or(KernelError::Absent)
}

/// The kernel whose file is `path`, with what stands beside it.
fn at(path: &Path) -> Result<Kernel, KernelError> {
    let image = path.canonicalize().ok().filter(|path| path.is_file());
    let image = image.ok_or_else(|| KernelError::NoFile(path.to_owned()))?;
    let record = fs::read(image.with_file_name(RECORD)).ok();
    Ok(Kernel {
        bzimage: Some(image.with_file_name(BZIMAGE)).filter(|other| other.is_file()),
        record: record.and_then(|text| serde_json::from_slice(&text).ok()),
        image,
    })
}

/// The directory that holds the kernels.
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
    fn a_named_kernel_comes_with_what_stands_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join(VMLINUX);
        assert!(matches!(locate(Some(&image)), Err(KernelError::NoFile(_))));
        fs::write(&image, "kernel").unwrap();
        let alone = locate(Some(&image)).unwrap();
        assert_eq!((alone.bzimage, alone.record), (None, None));

        let record = Record {
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
        let whole = locate(Some(&image)).unwrap();
        assert!(whole.bzimage.is_some());
        assert_eq!(whole.record, Some(record));
    }
}
