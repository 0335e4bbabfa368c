//! `isobench kernel build`: builds a kernel from source, into the cache.
//!
//! A build works in a directory of its own beside the kernel's directory. Both names depend on
//! source, configuration and toolchain. After a build was stopped, the same command continues it,
//! as make does. At the end, the finished kernel is renamed into place, and the build's directory
//! is removed.

mod tools;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::source::{self, Source};
use super::{
    Architecture, BZIMAGE, BuildRecord, Configuration, Kernel, KernelError, RECORD, at, cache,
    toolchain,
};
use crate::host::interrupt::Interrupt;
use tools::Tools;

/// The number of letters of the hash in a directory's name.
const HASH_LETTERS: usize = 16;
/// The file name of the configuration that Kconfig has completed, beside the kernel.
const CONFIG: &str = "config";

/// The result of [`build`].
#[derive(Debug)]
pub enum Built {
    /// The kernel has been built now.
    New(Kernel),
    /// The kernel had been built before, from the same source, configuration and toolchain.
    Reused(Kernel),
}

/// Builds the guest kernel from the source `named` by the user, or from the newest source of
/// Debian's packages. If the same kernel exists already, nothing is built.
///
/// # Errors
/// [`KernelError`]
pub fn build(
    architecture: Architecture,
    named: Option<&Path>,
    interrupt: &Interrupt,
) -> Result<Built, KernelError> {
    let configuration = Configuration::of(architecture);
    toolchain::check()?;
    let source = Source::find(architecture, named)?;
    let mut record = BuildRecord {
        version: String::new(),
        source: source.label(),
        configuration: configuration.hash(),
        toolchain: toolchain::versions(),
    };
    let place = cache()?.join(directory_name(architecture, &record));
    let kernel = || at(&place.join(architecture.image()), architecture);
    if let (Source::Archive { .. }, Ok(kernel)) = (&source, kernel()) {
        return Ok(Built::Reused(kernel));
    }
    let work = BuildDirectory::open(&place)?;
    let mut tools = Tools::new(architecture, work.path("log"), interrupt);
    let tree = match &source {
        Source::Tree(tree) => tree.clone(),
        Source::Archive { path, .. } => work.unpack(path, &mut tools)?,
    };
    work.configure(&tree, architecture, &configuration, &mut tools)?;
    tools.compile(&tree, &work.path("objects"))?;
    record.version = work.version()?;
    work.collect(architecture, &record, &mut tools)?;
    work.finish(&place, &source)?;
    Ok(Built::New(kernel()?))
}

/// The name of a kernel's directory. Another source, configuration or toolchain gives another name.
fn directory_name(architecture: Architecture, record: &BuildRecord) -> String {
    let all = format!(
        "{}\n{}\n{}\n",
        record.source, record.configuration, record.toolchain
    );
    let hash = Configuration::hash_of(&all);
    let prefix = architecture.directory_prefix();
    format!("{prefix}-{}", &hash[..HASH_LETTERS])
}

/// The directory in which a build works.
struct BuildDirectory {
    directory: PathBuf,
    _lock: Flock<File>,
}

impl BuildDirectory {
    /// Opens the directory of a stopped build of the kernel `place`, or makes a new one.
    fn open(place: &Path) -> Result<Self, KernelError> {
        let directory = place.with_extension("build");
        fs::create_dir_all(&directory).map_err(KernelError::cache(&directory))?;
        let lock_path = directory.join("lock");
        let lock = File::create(&lock_path).map_err(KernelError::cache(&lock_path))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|_| KernelError::Locked(directory.clone()))?;
        Ok(Self {
            directory,
            _lock: lock,
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Unpacks an archive. The tree appears under its name only when it is complete.
    fn unpack(&self, archive: &Path, tools: &mut Tools) -> Result<PathBuf, KernelError> {
        let tree = self.path("source");
        if !tree.exists() {
            let unfinished = self.path("source.new");
            remove(&unfinished)?;
            fs::create_dir(&unfinished).map_err(KernelError::cache(&unfinished))?;
            tools.run("unpacking", |command| {
                command
                    .args(["tar", "--strip-components=1", "-C"])
                    .arg(&unfinished)
                    .arg("-xf")
                    .arg(archive);
            })?;
            source::check_tree(&unfinished)?;
            fs::rename(&unfinished, &tree).map_err(KernelError::cache(&tree))?;
        }
        Ok(tree)
    }

    /// Has Kconfig complete the fragment to a whole configuration. An existing configuration with
    /// all options isn't touched, so that make compiles nothing a second time.
    fn configure(
        &self,
        tree: &Path,
        architecture: Architecture,
        wanted: &Configuration,
        tools: &mut Tools,
    ) -> Result<(), KernelError> {
        let objects = self.path("objects");
        let resolved = objects.join(".config");
        if fs::read_to_string(&resolved).is_ok_and(|text| wanted.check(&text).is_ok()) {
            return Ok(());
        }
        fs::create_dir_all(&objects).map_err(KernelError::cache(&objects))?;
        let fragment = self.path("fragment");
        fs::write(&fragment, wanted.text()).map_err(KernelError::cache(&fragment))?;
        tools.run("configuring", |command| {
            command.env("KCONFIG_ALLCONFIG", &fragment);
            tools::make(command, architecture, tree, &objects).arg("allnoconfig");
        })?;
        wanted.check(&fs::read_to_string(&resolved).map_err(KernelError::cache(&resolved))?)
    }

    /// The version of the built kernel.
    fn version(&self) -> Result<String, KernelError> {
        let path = self.path("objects/include/config/kernel.release");
        Ok(fs::read_to_string(&path)
            .map_err(KernelError::cache(&path))?
            .trim()
            .to_owned())
    }

    /// Puts all files to keep into the directory `result`. The symbols are removed from the kernel,
    /// because a start would have to load them.
    fn collect(
        &self,
        architecture: Architecture,
        record: &BuildRecord,
        tools: &mut Tools,
    ) -> Result<(), KernelError> {
        let result = self.path("result");
        remove(&result)?;
        fs::create_dir(&result).map_err(KernelError::cache(&result))?;
        let objects = self.path("objects");
        tools.run("stripping", |command| {
            command
                .args(["strip", "--strip-all", "-o"])
                .arg(result.join(architecture.image()))
                .arg(objects.join(architecture.image()));
        })?;
        let compressed = architecture.compressed().map(|path| (path, BZIMAGE));
        for (from, to) in compressed
            .into_iter()
            .chain([(Path::new(".config"), CONFIG)])
        {
            let from = objects.join(from);
            fs::copy(&from, result.join(to)).map_err(KernelError::cache(&from))?;
        }
        let path = result.join(RECORD);
        let text = serde_json::to_vec_pretty(record).expect("a record of strings is written");
        fs::write(&path, text).map_err(KernelError::cache(&path))
    }

    /// Renames the result to `place`. The object files of a tree stay, because the user may change
    /// the tree and build again. Those of an archive are removed.
    fn finish(self, place: &Path, source: &Source) -> Result<(), KernelError> {
        remove(place)?;
        fs::rename(self.path("result"), place).map_err(KernelError::cache(place))?;
        match source {
            Source::Tree(_) => Ok(()),
            Source::Archive { .. } => remove(&self.directory),
        }
    }
}

/// Removes a directory, if it exists.
fn remove(directory: &Path) -> Result<(), KernelError> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(KernelError::cache(directory)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_s_name_depends_on_source_configuration_and_toolchain() {
        let record = BuildRecord {
            version: "6.1.1".into(),
            source: "linux-source-6.1 6.1.1-1".into(),
            configuration: "ab".into(),
            toolchain: "gcc 12".into(),
        };
        let directory_name = |record: &_| directory_name(Architecture::X86_64, record);
        let name = directory_name(&record);
        let changed = [
            BuildRecord {
                source: "linux-source-6.1 6.1.2-1".into(),
                ..record.clone()
            },
            BuildRecord {
                configuration: "cd".into(),
                ..record.clone()
            },
            BuildRecord {
                toolchain: "gcc 13".into(),
                ..record.clone()
            },
        ];
        for other in changed {
            assert_ne!(directory_name(&other), name);
        }
        let other_version = BuildRecord {
            version: "6.1.2".into(),
            ..record
        };
        assert_eq!(directory_name(&other_version), name);
    }

    #[test]
    fn only_one_build_works_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("guest-0");
        let first = BuildDirectory::open(&place).unwrap();
        let second = BuildDirectory::open(&place);
        assert!(matches!(second, Err(KernelError::Locked(_))));
        drop(first);
        assert!(BuildDirectory::open(&place).is_ok());
    }
}
