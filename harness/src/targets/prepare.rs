//! What a target is prepared with, and why a preparation can fail.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use isobench_container::{FIRST_HOST_ID, User};
use isobench_reports::model::Unavailable;

use super::Launch;
use crate::host::accounting::Accounting;
use crate::host::session::SessionName;
use crate::instance::command_line::HostUser;

/// What a target is prepared with.
#[derive(Debug, Clone, Copy)]
pub struct PrepareContext<'a> {
    /// The content of the instances' root.
    pub contents: Contents<'a>,
    /// An empty directory for the target alone. The run removes the directory at its end.
    pub directory: &'a Path,
    /// The run's name, for things that a daemon keeps outside of the directory.
    pub session: &'a SessionName,
    /// The cgroup for a daemon of the run; `None` if this host's cgroups can't be used.
    pub accounting: Option<&'a Accounting>,
}

/// The content of the instances' root.
#[derive(Debug, Clone, Copy)]
pub enum Contents<'a> {
    /// One static program, whose path on the host is this one.
    Program(&'a Path),
    /// The files of an image.
    Image(Image<'a>),
}

/// The files of an image, and how the image's programs are started.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    /// The directories with the image's layers, the lowest first.
    pub layers: &'a [PathBuf],
    /// The directory in which programs start, as a path inside.
    pub working_directory: &'a Path,
    /// The user of the programs.
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
        /// The kernel's reason.
        source: io::Error,
    },
    /// The host lacks something, or a daemon refused a request.
    #[error("{}; {}", .0.reason, .0.fix)]
    Unavailable(Unavailable),
    /// The target runs no programs of images.
    #[error("{target} runs no programs of images")]
    NoImages {
        /// The target's name.
        target: &'static str,
    },
}

impl PrepareError {
    /// The error in the form that a results file holds.
    pub fn into_unavailable(self) -> Unavailable {
        match self {
            Self::Unavailable(unavailable) => unavailable,
            Self::Files { source, .. } => Unavailable {
                reason: format!("cannot make the target's files: {source}"),
                fix: "check that TMPDIR is on a disk with free space".to_owned(),
                command: None,
            },
            Self::NoImages { .. } => Unavailable {
                reason: self.to_string(),
                fix: "run a static program instead of an image".to_owned(),
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

impl<'a> PrepareContext<'a> {
    /// The static program to run, for a `target` that runs no programs of images.
    ///
    /// # Errors
    /// [`PrepareError::NoImages`] if the contents are an image.
    pub fn program(&self, target: &'static str) -> Result<&'a Path, PrepareError> {
        match self.contents {
            Contents::Program(program) => Ok(program),
            Contents::Image(_) => Err(PrepareError::NoImages { target }),
        }
    }

    /// Calls `make` with the target's directory, in which `make` makes files.
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

/// The host's user to whom the files of the image's user `user` belong. The store shifts all ids
/// when it imports an image.
pub(super) fn host_user(user: &User) -> HostUser {
    let shifted = |id: u32| FIRST_HOST_ID.saturating_add(id);
    HostUser {
        uid: shifted(user.uid),
        gid: shifted(user.gid),
        groups: user.groups.iter().copied().map(shifted).collect(),
    }
}

/// Puts `program` into `directory` under its own name, as a hard link: all targets then share its
/// pages in the page cache. `program` is copied if the file systems differ, or if other users may
/// not run the program: root inside is another user.
pub(super) fn place_program(program: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let place = directory.join(file_name(program));
    // The program may be known by the name of a symbolic link, which leads nowhere inside.
    let program = &program.canonicalize()?;
    let may_all_run = fs::metadata(program)?.permissions().mode() & 0o005 == 0o005;
    if may_all_run && fs::hard_link(program, &place).is_ok() {
        return Ok(());
    }
    fs::copy(program, &place)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
}

/// The path of `program` at the root of an instance.
pub(super) fn inside_path(program: &Path) -> PathBuf {
    Path::new("/").join(file_name(program))
}

/// The path inside of the launch's program for a peer that takes no name beside the path. Programs
/// start in `/`, so that a name such as `./program` leads to the program as it was typed.
pub(super) fn path_as_name(launch: &Launch) -> PathBuf {
    let name = file_name(launch.program);
    let typed = Path::new(".").join(name);
    match &launch.name {
        Some(given) if *given == typed => typed,
        _ => inside_path(launch.program),
    }
}

/// The last component of `program`.
pub(super) fn file_name(program: &Path) -> &OsStr {
    program.file_name().unwrap_or(program.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_users_may_run_a_placed_program() {
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
