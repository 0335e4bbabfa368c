//! Where the workload and the launchers are: beside `isobench` itself, in the directory where cargo
//! puts all programs of the package.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The directory of this package when `isobench` was built.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// The static programs that a run starts.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The workload, which runs in every target.
    pub workload: PathBuf,
    /// The launcher of rung 1.
    pub container: PathBuf,
    /// The launcher of rungs 2 and 3.
    pub vmm: PathBuf,
    /// The program of the floors, with which rungs 1 and 2 are compared.
    pub floor: PathBuf,
    /// The program that counts a target's system calls to the host's kernel.
    pub tracer: PathBuf,
}

/// A program that a run needs can't be found or built.
#[derive(Debug, thiserror::Error)]
pub enum ProgramsError {
    /// The path of the running program is unknown.
    #[error("cannot find the directory of isobench itself")]
    Own(#[source] std::io::Error),
    /// cargo could not build the launchers.
    #[error("cannot build the launchers: `{command}` failed; run it to see why")]
    Build {
        /// The command that failed.
        command: String,
    },
    /// The program doesn't exist.
    #[error(
        "{} is missing, and isobench needs the other programs of its package beside itself; \
         install it without `--bin`, build all with `cargo build --release --bins`, or copy the \
         program there",
        .0.display()
    )]
    Missing(PathBuf),
}

impl Programs {
    /// Finds the programs beside the running `isobench`.
    ///
    /// `cargo run` builds `isobench` alone. So under cargo, the other programs are built first. If
    /// they are up to date, that takes a moment; without the build, a stale launcher would measure
    /// yesterday's code.
    ///
    /// # Errors
    /// [`ProgramsError`]
    pub fn find() -> Result<Self, ProgramsError> {
        let own = env::current_exe().map_err(ProgramsError::Own)?;
        let directory = own.parent().unwrap_or(Path::new("."));
        if let Some(cargo) = cargo_of_this_package() {
            let mut build = Command::new(cargo);
            build.args(["build", "--quiet", "--bins", "--manifest-path"]);
            build.arg(Path::new(PACKAGE).join("Cargo.toml"));
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
    /// [`ProgramsError::Missing`] for the first program that doesn't exist.
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
            workload: program("isobench-workload")?,
            container: program("isobench-container")?,
            vmm: program("isobench-vmm")?,
            floor: program("isobench-floor")?,
            tracer: program("isobench-tracer")?,
        })
    }
}

/// The cargo that runs `isobench` as a program of this package, if one does. The tests and benches of
/// another crate pass variables of the same names on, which name that crate.
fn cargo_of_this_package() -> Option<OsString> {
    let package = env::var_os("CARGO_MANIFEST_DIR")?;
    env::var_os("CARGO").filter(|_| package == PACKAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_the_missing_program() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("isobench-workload"), "").unwrap();
        let error = Programs::in_directory(directory.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("isobench-container is missing"), "{error}");
    }
}
