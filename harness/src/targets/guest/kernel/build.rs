//! `isobench kernel build`: from source to a kernel in the cache.
//!
//! A build works in a directory of its own beside the kernel's place, named by what goes into it: source,
//! configuration, toolchain. Stopped at any time, the same command goes on with it, as make does; at the end the
//! result is renamed into its place and the directory removed.

mod tools;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::source::{self, Source};
use super::{
    BZIMAGE, Configuration, Kernel, KernelError, RECORD, Record, VMLINUX, at, cache, toolchain,
};
use crate::host::interrupt::Interrupt;
use tools::Tools;

/// Letters of the hash in a directory's name.
const NAME: usize = 16;
/// The configuration as Kconfig completed it, kept beside the kernel.
const CONFIG: &str = "config";

/// What a build ends with.
#[derive(Debug)]
pub struct Built {
    /// The kernel.
    pub kernel: Kernel,
    /// Whether it was there before.
    pub reused: bool,
}

/// Builds the guest kernel from the source `named` or the newest of Debian's, or finds that it's there.
///
/// # Errors
/// [`KernelError`]
pub fn build(named: Option<&Path>, interrupt: &Interrupt) -> Result<Built, KernelError> {
    let configuration = Configuration::own();
    toolchain::check()?;
    let source = Source::find(named)?;
    let mut record = Record {
        version: String::new(),
        source: source.label(),
        configuration: configuration.hash(),
        toolchain: toolchain::versions(),
    };
    let place = cache()?.join(directory_name(&record));
    if let (Source::Archive { .. }, Ok(kernel)) = (&source, at(&place.join(VMLINUX))) {
        return Ok(Built {
            kernel,
            reused: true,
        });
    }
    let work = Work::begin(&place)?;
    let mut tools = Tools::new(work.path("log"), interrupt);
    let tree = match &source {
        Source::Tree(tree) => tree.clone(),
        Source::Archive { path, .. } => work.unpack(path, &mut tools)?,
    };
    work.configure(&tree, &configuration, &mut tools)?;
    tools.compile(&tree, &work.path("objects"))?;
    record.version = work.version()?;
    work.collect(&record, &mut tools)?;
    work.finish(&place, matches!(source, Source::Tree(_)))?;
    let kernel = at(&place.join(VMLINUX))?;
    Ok(Built {
        kernel,
        reused: false,
    })
}

/// What goes into a kernel, in a name: another source, option or compiler makes another kernel.
fn directory_name(record: &Record) -> String {
    let all = format!(
        "{}\n{}\n{}\n",
        record.source, record.configuration, record.toolchain
    );
    let hash = Configuration::hash_of(&all);
    format!("guest-{}", &hash[..NAME])
}

/// The directory in which a build works.
struct Work {
    directory: PathBuf,
    _lock: Flock<File>,
}

impl Work {
    /// Goes on with a build that was stopped, or begins one.
    fn begin(place: &Path) -> Result<Self, KernelError> {
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

    /// Unpacks an archive, all of it or nothing.
    fn unpack(&self, archive: &Path, tools: &mut Tools) -> Result<PathBuf, KernelError> {
        let tree = self.path("source");
        if !tree.exists() {
            let aside = self.path("source.new");
            remove(&aside)?;
            fs::create_dir(&aside).map_err(KernelError::cache(&aside))?;
            tools.run("unpacking", |command| {
                command
                    .args(["tar", "--strip-components=1", "-C"])
                    .arg(&aside)
                    .arg("-xf")
                    .arg(archive);
            })?;
            source::check_tree(&aside)?;
            fs::rename(&aside, &tree).map_err(KernelError::cache(&tree))?;
        }
        Ok(tree)
    }

    /// Turns the fragment into a whole configuration. One that is there is left, so that make sees nothing new.
    fn configure(
        &self,
        tree: &Path,
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
            tools::make(command, tree, &objects).arg("allnoconfig");
        })?;
        wanted.check(&fs::read_to_string(&resolved).map_err(KernelError::cache(&resolved))?)
    }

    /// The version that the built kernel calls itself.
    fn version(&self) -> Result<String, KernelError> {
        let path = self.path("objects/include/config/kernel.release");
        Ok(fs::read_to_string(&path)
            .map_err(KernelError::cache(&path))?
            .trim()
            .to_owned())
    }

    /// Puts what is to be kept into a directory: the kernel without symbols, which no start needs to load.
    fn collect(&self, record: &Record, tools: &mut Tools) -> Result<(), KernelError> {
        let result = self.path("result");
        remove(&result)?;
        fs::create_dir(&result).map_err(KernelError::cache(&result))?;
        let objects = self.path("objects");
        tools.run("stripping", |command| {
            command
                .args(["strip", "--strip-all", "-o"])
                .arg(result.join(VMLINUX))
                .arg(objects.join(VMLINUX));
        })?;
        for (from, to) in [("arch/x86/boot/bzImage", BZIMAGE), (".config", CONFIG)] {
            let from = objects.join(from);
            fs::copy(&from, result.join(to)).map_err(KernelError::cache(&from))?;
        }
        let path = result.join(RECORD);
        let text = serde_json::to_vec_pretty(record).expect("a record of strings is written");
        fs::write(&path, text).map_err(KernelError::cache(&path))
    }

    /// Renames the result to its place. A tree's objects stay: it's built again after each of its changes.
    fn finish(self, place: &Path, keep_objects: bool) -> Result<(), KernelError> {
        remove(place)?;
        fs::rename(self.path("result"), place).map_err(KernelError::cache(place))?;
        if keep_objects {
            Ok(())
        } else {
            remove(&self.directory)
        }
    }
}

/// Removes a directory that may not be there.
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
    fn the_directory_is_named_by_source_configuration_and_toolchain() {
        let record = Record {
            version: "6.1.1".into(),
            source: "linux-source-6.1 6.1.1-1".into(),
            configuration: "ab".into(),
            toolchain: "gcc 12".into(),
        };
        let name = directory_name(&record);
        let changed = [
            Record {
                source: "linux-source-6.1 6.1.2-1".into(),
                ..record.clone()
            },
            Record {
                configuration: "cd".into(),
                ..record.clone()
            },
            Record {
                toolchain: "gcc 13".into(),
                ..record.clone()
            },
        ];
        for other in changed {
            assert_ne!(directory_name(&other), name);
        }
        assert_eq!(
            directory_name(&Record {
                version: "6.1.2".into(),
                ..record
            }),
            name
        );
    }

    #[test]
    fn only_one_build_works_in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("guest-0");
        let first = Work::begin(&place).unwrap();
        assert!(matches!(Work::begin(&place), Err(KernelError::Locked(_))));
        drop(first);
        assert!(Work::begin(&place).is_ok());
    }
}
