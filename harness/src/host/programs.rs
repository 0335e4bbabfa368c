//! Where the workload and the launchers are: beside `isobench` itself, where cargo puts all programs of the package.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The static programs that a run starts.
#[derive(Debug, Clone)]
pub struct Programs {
    /// What runs in every target.
    pub workload: PathBuf,
    /// Launcher of rung 1.
    pub container: PathBuf,
    /// Launcher of rungs 2 and 3.
    pub vmm: PathBuf,
    /// The floors that rungs 1 and 2 are held against.
    pub floor: PathBuf,
    /// What counts the host's system calls of a target.
    pub tracer: PathBuf,
}

/// A program is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The running program's own path is unknown.
    #[error("cannot find out where isobench itself is")]
    Own(#[source] std::io::Error),
    /// cargo could not build the launchers.
    #[error("cannot build the launchers: `{command}` failed; run it to see why")]
    Build {
        /// What was run.
        command: String,
    },
    /// The program isn't there.
    #[error("{} is missing; build all programs with `cargo build --release --bins`, or copy it there", .0.display())]
    Missing(PathBuf),
}

impl Programs {
    /// Finds the programs beside the running `isobench`.
    ///
    /// `cargo run` builds the one program that it runs. So under cargo, the others are built first: an
    /// up-to-date build takes cargo a moment, and a stale launcher would measure code of yesterday.
    ///
    /// # Errors
    /// [`ProgramsError`]
    pub fn find() -> Result<Self, ProgramsError> {
        let own = env::current_exe().map_err(ProgramsError::Own)?;
        let directory = own.parent().unwrap_or(Path::new("."));
        if let (Some(cargo), Some(package)) =
            (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR"))
        {
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--bins", "--manifest-path"]);
            build.arg(Path::new(&package).join("Cargo.toml"));
            if directory.ends_with("release") {
                build.arg("--release");
            }
            let succeeded = build.status().is_ok_and(|status| status.success());
            if !succeeded {
                return Err(ProgramsError::Build {
                    command: format!("{build:?}"),
                });
            }
        }
        Self::in_directory(directory)
    }

    /// Finds the programs in `directory`.
    ///
    /// # Errors
    /// [`ProgramsError::Missing`], naming the first that isn't there.
    pub fn in_directory(directory: &Path) -> Result<Self, ProgramsError> {
        let program = |name: &str| {
            let path = directory.join(name);
            if path.is_file() {
                Ok(path)
            } else {
                Err(ProgramsError::Missing(path))
            }
        };
        Ok(Self {
            workload: program("workload")?,
            container: program("isobench-container")?,
            vmm: program("isobench-vmm")?,
            floor: program("isobench-floor")?,
            tracer: program("isobench-tracer")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_path() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("workload"), "").unwrap();
        let error = Programs::in_directory(directory.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("isobench-container is missing"), "{error}");
    }
}
