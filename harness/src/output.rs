//! Where a run's results go: a directory of its own, in which nothing is ever overwritten.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use isobench_reports::model::Run;
use jiff::Timestamp;

use crate::failure::BadInput;

/// The directory that the dated ones are made in.
const DEFAULT_PARENT: &str = "isobench-results";

/// A directory that holds the results of one run.
#[derive(Debug)]
pub struct Output {
    directory: PathBuf,
}

impl Output {
    /// Makes `wanted`, or a directory named after the date, before anything is measured.
    ///
    /// # Errors
    /// [`BadInput`] if there are results in it, or if it can't be written to.
    pub fn create(wanted: Option<&Path>, started: Timestamp) -> Result<Self, BadInput> {
        let directory = match wanted {
            Some(directory) => directory.to_owned(),
            None => dated(started),
        };
        let refuse = |why: &str| BadInput(format!("--out {}: {why}", directory.display()));
        fs::create_dir_all(&directory)
            .map_err(|e| refuse(&format!("cannot make the directory: {e}")))?;
        if let Some(there) = isobench_reports::FILES
            .iter()
            .find(|file| directory.join(file).exists())
        {
            return Err(refuse(&format!(
                "holds {there} already; results are never overwritten, name another directory"
            )));
        }
        tempfile::tempfile_in(&directory)
            .map_err(|e| refuse(&format!("cannot be written to: {e}")))?;
        Ok(Self { directory })
    }

    /// Saves the samples so far, so that a killed run keeps them.
    ///
    /// # Errors
    /// The file can't be written.
    pub fn checkpoint(&self, run: &Run) -> anyhow::Result<()> {
        isobench_reports::write_json(&self.directory, run)?;
        Ok(())
    }

    /// Writes the results and the report, each under a temporary name first. Gives the report's path.
    ///
    /// # Errors
    /// A file can't be drawn or written.
    pub fn write(&self, run: &Run) -> anyhow::Result<PathBuf> {
        isobench_reports::write_all(&self.directory, run)
            .with_context(|| format!("cannot write the results to {}", self.directory.display()))
    }
}

/// A name that no earlier run has.
fn dated(started: Timestamp) -> PathBuf {
    let name = started.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let parent = Path::new(DEFAULT_PARENT);
    let first = parent.join(&name);
    if !first.exists() {
        return first;
    }
    let mut number = 2;
    loop {
        let next = parent.join(format!("{name}-{number}"));
        if !next.exists() {
            return next;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        Output::create(Some(directory.path()), now).unwrap();
        fs::write(directory.path().join("results.json"), "{}").unwrap();
        let error = Output::create(Some(directory.path()), now)
            .unwrap_err()
            .to_string();
        assert!(error.contains("results.json already"), "{error}");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error =
            Output::create(Some(&file.path().join("x")), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(error.to_string().starts_with("--out "), "{error}");
    }
}
