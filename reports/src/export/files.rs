//! The files of a run. A reader never sees half a file, and an older result is never lost.
//!
//! Each file is written under a temporary name beside its final name, flushed to the disk, and then
//! renamed on condition that the final name is free.

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use thiserror::Error;

use crate::export::{csv, html, json};
use crate::model::Run;

/// Why results weren't written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// There is a file of that name already.
    #[error("{} already exists and is not overwritten: choose another output", .0.display())]
    Exists(PathBuf),
    /// Another run has claimed the directory.
    #[error("another run writes to {}: choose another output", .0.display())]
    Claimed(PathBuf),
    /// The system refused to write.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or the directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The run contradicts itself.
    #[error("the results contradict themselves")]
    Inconsistent(#[from] json::Inconsistency),
    /// The report can't be drawn.
    #[error("cannot draw the report")]
    Report(#[from] html::ReportError),
}

/// A directory for results: it exists, is writable, and has no results yet.
///
/// The directory is claimed before a run starts, so that minutes of measuring don't end with a
/// refusal, and nobody else can claim it meanwhile. A directory that was made for it and is still
/// empty when the value is dropped is removed.
#[derive(Debug)]
pub struct Output {
    directory: PathBuf,
    /// The directories that were made, the innermost first.
    made: Vec<PathBuf>,
    /// Whether this output has saved a `results.json` already.
    checkpointed: bool,
    /// The directory, whose lock this is; nothing where the file system has no locks. Released
    /// after the directory's removal.
    _lock: Option<File>,
}

/// The files of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultFiles {
    /// The whole run, to be read again.
    pub json: PathBuf,
    /// One row per sample.
    pub csv: PathBuf,
    /// The report.
    pub html: PathBuf,
}

impl Output {
    /// Makes sure that results can be written to `directory`, which is made if it doesn't exist.
    ///
    /// # Errors
    ///
    /// If the directory can't be made or written to, has results already or is claimed.
    pub fn claim(directory: &Path) -> Result<Self, WriteError> {
        let cannot_write = |source| WriteError::Write {
            path: directory.to_owned(),
            source,
        };
        let missing = directory.ancestors().take_while(|path| {
            // The last ancestor of a relative path is empty and stands for the working directory.
            !path.as_os_str().is_empty() && path.symlink_metadata().is_err()
        });
        let made = missing.map(Path::to_owned).collect();
        fs::create_dir_all(directory).map_err(cannot_write)?;
        let output = Self {
            directory: directory.to_owned(),
            made,
            checkpointed: false,
            _lock: lock(directory)?,
        };
        let files = output.files();
        for path in [files.json, files.csv, files.html] {
            if path.symlink_metadata().is_ok() {
                return Err(WriteError::Exists(path));
            }
        }
        temporary(directory).map_err(cannot_write)?;
        Ok(output)
    }

    /// The files that [`write`](Self::write) makes.
    pub fn files(&self) -> ResultFiles {
        let file = |name| self.directory.join(name);
        ResultFiles {
            json: file("results.json"),
            csv: file("results.csv"),
            html: file("report.html"),
        }
    }

    /// Saves an unfinished run as `results.json`, in place of what this output saved before. So the
    /// samples up to now can be read whatever happens next.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn checkpoint(&mut self, run: &Run) -> Result<(), WriteError> {
        let path = self.files().json;
        let staged = stage(&path, &json::render(run)?)?;
        self.publish(staged, &path)?;
        self.checkpointed = true;
        Ok(())
    }

    /// Writes all three files of a run, or none. The report's ratios are to rung 0 of the ladder,
    /// or to the target named `baseline`.
    ///
    /// # Errors
    ///
    /// If the run contradicts itself, if the disk is full or refuses, or if one of the files exists
    /// by now.
    pub fn write(&self, run: &Run, baseline: Option<&str>) -> Result<ResultFiles, WriteError> {
        let files = self.files();
        let options = html::ReportOptions {
            baseline,
            ..html::ReportOptions::default()
        };
        let mut table = Vec::new();
        csv::write(run, &mut table).map_err(|source| WriteError::Write {
            path: files.csv.clone(),
            source,
        })?;
        // JSON comes last: if another file is refused, the last checkpoint is still there.
        let contents = [
            (&files.csv, table),
            (
                &files.html,
                html::render(std::slice::from_ref(run), options)?.into_bytes(),
            ),
            (&files.json, json::render(run)?),
        ];
        let staged: Vec<_> = contents
            .iter()
            .map(|(path, bytes)| stage(path, bytes))
            .collect::<Result<_, _>>()?;
        let mut published: Vec<&Path> = Vec::new();
        for ((path, _), file) in contents.iter().zip(staged) {
            if let Err(error) = self.publish(file, path) {
                for path in published {
                    // This output made the file a moment ago. Without the other two it would look
                    // like a complete result.
                    drop(fs::remove_file(path));
                }
                return Err(error);
            }
            published.push(path);
        }
        Ok(files)
    }

    /// Renames a file to its final name; only this output's own checkpoint may be replaced.
    fn publish(&self, file: NamedTempFile, path: &Path) -> Result<(), WriteError> {
        if self.checkpointed && *path == self.files().json {
            file.persist(path).map_err(|refused| WriteError::Write {
                path: path.to_owned(),
                source: refused.error,
            })?;
            return Ok(());
        }
        publish(file, path)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        for directory in &self.made {
            // A directory that holds anything is kept by the kernel.
            if fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
}

/// Writes a whole new file, or none, and never over another file.
///
/// # Errors
///
/// If a file of that name exists, or the system refuses.
pub fn write_new(path: &Path, contents: &[u8]) -> Result<(), WriteError> {
    publish(stage(path, contents)?, path)
}

/// The directory of `path`.
fn parent(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Takes the lock of a directory (flock(2)), which the kernel releases if its holder is killed.
fn lock(directory: &Path) -> Result<Option<File>, WriteError> {
    let locked = File::open(directory).map(|file| file.try_lock().map(|()| file));
    match locked {
        Ok(Err(TryLockError::WouldBlock)) => Err(WriteError::Claimed(directory.to_owned())),
        Ok(locked) => Ok(locked.ok()),
        Err(_) => Ok(None),
    }
}

fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    // The umask applies, so that results are as readable as any other new file.
    tempfile::Builder::new()
        .prefix(".isobench-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
}

/// Writes the contents to the disk under a temporary name. The file is removed if it isn't
/// published.
fn stage(path: &Path, contents: &[u8]) -> Result<NamedTempFile, WriteError> {
    let write = || {
        let mut file = temporary(parent(path))?;
        file.write_all(contents)?;
        file.as_file().sync_all()?;
        Ok(file)
    };
    write().map_err(|source| WriteError::Write {
        path: path.to_owned(),
        source,
    })
}

fn publish(file: NamedTempFile, path: &Path) -> Result<(), WriteError> {
    file.persist_noclobber(path)
        .map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => WriteError::Exists(path.to_owned()),
            _ => WriteError::Write {
                path: path.to_owned(),
                source: refused.error,
            },
        })?;
    // Makes the new name as durable as the contents; not every file system can do so.
    drop(File::open(parent(path)).and_then(|directory| directory.sync_all()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn three_files_that_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("new/run");
        let run = fixture::run();
        let files = Output::claim(&directory)
            .unwrap()
            .write(&run, None)
            .unwrap();
        assert_eq!(
            names(&directory),
            ["report.html", "results.csv", "results.json"]
        );
        assert_eq!(json::read(&files.json).unwrap(), run);
        assert_eq!(json::read(&directory).unwrap(), run);
    }

    #[test]
    fn a_directory_is_claimed_once_and_stays_its_owner_s() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("new/run");
        let output = Output::claim(&directory).unwrap();
        let refused = Output::claim(&directory).unwrap_err();
        assert!(matches!(refused, WriteError::Claimed(path) if path == directory));
        output.write(&fixture::run(), None).unwrap();
        drop(output);
        assert!(directory.join("results.json").exists());
        assert!(Output::claim(&folder.path().join("new")).is_ok());
    }

    #[test]
    fn an_older_result_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::claim(folder.path()).unwrap();
        fs::write(folder.path().join("report.html"), "older").unwrap();
        assert!(matches!(
            output.write(&fixture::run(), None),
            Err(WriteError::Exists(_))
        ));
        drop(output);
        assert!(matches!(
            Output::claim(folder.path()),
            Err(WriteError::Exists(_))
        ));
        assert_eq!(names(folder.path()), ["report.html"]);
        assert_eq!(
            fs::read(folder.path().join("report.html")).unwrap(),
            b"older"
        );
    }

    #[test]
    fn a_checkpoint_is_replaced_by_the_next_and_by_the_whole() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::claim(folder.path()).unwrap();
        let mut run = fixture::run();
        run.partial = true;
        output.checkpoint(&run).unwrap();
        assert_eq!(names(folder.path()), ["results.json"]);
        output.checkpoint(&run).unwrap();
        assert!(json::read(folder.path()).unwrap().partial);
        run.partial = false;
        output.write(&run, None).unwrap();
        assert!(!json::read(folder.path()).unwrap().partial);
    }

    #[test]
    fn a_checkpoint_outlives_a_failure_to_write_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let mut output = Output::claim(folder.path()).unwrap();
        output.checkpoint(&fixture::run()).unwrap();
        fs::write(folder.path().join("report.html"), "older").unwrap();
        assert!(matches!(
            output.write(&fixture::run(), None),
            Err(WriteError::Exists(_))
        ));
        assert_eq!(names(folder.path()), ["report.html", "results.json"]);
    }

    #[test]
    fn a_run_that_contradicts_itself_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = fixture::run();
        run.samples[0].value = Some(f64::NAN);
        let error = Output::claim(folder.path())
            .unwrap()
            .write(&run, None)
            .unwrap_err();
        assert!(matches!(
            error,
            WriteError::Inconsistent(json::Inconsistency::NotFinite(0))
        ));
        assert_eq!(names(folder.path()), [""; 0]);
    }

    #[test]
    fn a_directory_that_was_made_for_nothing_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        drop(Output::claim(&folder.path().join("results/run")).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
        // One that was there is not isobench's to remove.
        drop(Output::claim(folder.path()).unwrap());
        assert!(folder.path().exists());
        let mut kept = Output::claim(&folder.path().join("kept/run")).unwrap();
        kept.checkpoint(&fixture::run()).unwrap();
        drop(kept);
        assert_eq!(names(&folder.path().join("kept/run")), ["results.json"]);
    }

    #[test]
    fn a_place_that_can_t_be_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Output::claim(&file.join("run")).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot write ")
                && error.to_string().ends_with("file/run"),
            "{error}"
        );
    }
}
