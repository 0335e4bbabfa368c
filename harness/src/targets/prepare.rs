//! What a target is prepared with, and what can stand in the way.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use isobench_container::User;
use isobench_reports::model::Unavailable;

use crate::host::accounting::Accounting;
use crate::host::session::SessionName;

/// What a target is prepared with.
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// What instances find at their root.
    pub contents: Contents<'a>,
    /// A directory of the target's own, which is empty; the run removes the directory at its end.
    pub directory: &'a Path,
    /// The run's name, for what a daemon keeps outside of the directory.
    pub session: &'a SessionName,
    /// Where a daemon of the run's own is accounted, if this host's cgroups can be used.
    pub accounting: Option<&'a Accounting>,
}

/// What instances find at their root.
#[derive(Debug, Clone, Copy)]
pub enum Contents<'a> {
    /// One static program, at this path on the host.
    Program(&'a Path),
    /// The files of an image.
    Image(Image<'a>),
}

/// The files of an image, and how the image wants its programs started.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// Directories with the image's layers, the lowest first.
    pub layers: &'a [PathBuf],
    /// The directory inside in which programs start.
    pub working_directory: &'a Path,
    /// The user that programs run as.
    pub user: &'a User,
}

/// A target could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The target's files could not be made.
    #[error("cannot make files in {}", .directory.display())]
    Files {
        /// The target's directory.
        directory: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The host lacks something, or a daemon refused.
    #[error("{}; {}", .0.reason, .0.fix)]
    Unavailable(Unavailable),
    /// The target runs no programs of images.
    #[error("{target} runs no programs of images")]
    NoImages {
        /// Name of the target.
        target: &'static str,
    },
}

impl PrepareError {
    /// The reason as a row of the results has it.
    pub fn into_unavailable(self) -> Unavailable {
        match self {
            Self::Unavailable(unavailable) => unavailable,
            Self::Files { source, .. } => Unavailable {
                reason: format!("cannot make the target's files: {source}"),
                fix: "see that TMPDIR is on a disk with room".to_owned(),
                command: None,
            },
            Self::NoImages { .. } => Unavailable {
                reason: self.to_string(),
                fix: "leave the image out".to_owned(),
                command: None,
            },
        }
    }
}

impl From<Unavailable> for PrepareError {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

impl<'a> Setup<'a> {
    /// The static program, for a `target` that runs no programs of images.
    ///
    /// # Errors
    /// The contents are an image.
    pub fn program(&self, target: &'static str) -> Result<&'a Path, PrepareError> {
        match self.contents {
            Contents::Program(program) => Ok(program),
            Contents::Image(_) => Err(PrepareError::NoImages { target }),
        }
    }

    /// Makes files below the directory by `make`.
    ///
    /// # Errors
    /// [`PrepareError::Files`] with the error of `make`.
    pub fn files<T>(&self, make: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, PrepareError> {
        make(self.directory).map_err(|source| PrepareError::Files {
            directory: self.directory.to_owned(),
            source,
        })
    }
}

/// Puts `program` into `directory` under its own name: a hard link, so that the page cache is shared
/// with the other targets. It is a copy where the file systems differ, or where others may not run
/// the program, since root inside is another user.
pub(super) fn place_program(program: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let place = directory.join(file_name(program));
    let for_all = fs::metadata(program)?.permissions().mode() & 0o005 == 0o005;
    if for_all && fs::hard_link(program, &place).is_ok() {
        return Ok(());
    }
    fs::copy(program, &place)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
}

/// The path of `program` at the root of an instance.
pub(super) fn inside_path(program: &Path) -> PathBuf {
    Path::new("/").join(file_name(program))
}

/// The last component of `program`.
pub(super) fn file_name(program: &Path) -> &OsStr {
    program.file_name().unwrap_or(program.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_one_s_own_is_placed_for_all_to_run() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (own, placed) in [(0o755, 0o755), (0o555, 0o555), (0o700, 0o755)] {
            fs::set_permissions(&program, fs::Permissions::from_mode(own)).unwrap();
            let layer = directory.path().join(format!("{own:o}"));
            place_program(&program, &layer).unwrap();
            assert_eq!(mode(&layer.join("program")), placed);
            assert_eq!(mode(&program), own);
        }
    }
}
