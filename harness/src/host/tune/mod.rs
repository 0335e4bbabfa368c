//! `isobench run --tune`: settings of the host that make timings noisy, changed for the run and put back at its end, however it
//! ends.
//!
//! A harness that is killed can put nothing back. So a second process, the *guardian* ([`guardian`]), makes the changes and
//! knows what was there before. It listens to a pipe that only the harness holds the other end of: when that end is gone, for
//! whatever reason, it puts everything back. Should the guardian be killed instead, the harness does it. Both live in memory
//! alone, as the settings do: a host that crashes comes up with its own.

pub mod guardian;
mod settings;

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use isobench_reports::model::Setting;
use serde::{Deserialize, Serialize};

/// The settings can't be changed safely.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The process that puts them back can't be had.
    #[error("cannot start the process that would put the host's settings back")]
    Guardian(#[source] io::Error),
    /// It has gone.
    #[error("the process that puts the host's settings back ended too early")]
    Gone,
    /// Some are still changed.
    #[error("these settings of the host could not be put back: {0}; do it by hand")]
    Kept(String),
}

/// What the guardian says, a line of JSON each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Word {
    /// It is about to change this.
    Changing(Setting),
    /// It could not change the last one.
    Refused(String),
    /// All is changed.
    Ready,
}

/// Settings that are changed until this is dropped.
#[derive(Debug)]
pub struct Tuned {
    guardian: Child,
    root: PathBuf,
    /// What has been changed.
    pub changed: Vec<Setting>,
    /// What could not be changed, and why.
    pub refused: Vec<String>,
}

impl Tuned {
    /// Changes what is worth changing in the kernel's files below `root`, which is `/` outside of tests.
    ///
    /// # Errors
    /// [`TuneError`]: nothing is changed then, or it has been put back.
    pub fn begin(root: &Path) -> Result<Self, TuneError> {
        let own = std::env::current_exe().map_err(TuneError::Guardian)?;
        let mut guardian = Command::new(own)
            .args(["keep-settings", "--root"])
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A signal from the terminal is for the harness.
            .process_group(0)
            .spawn()
            .map_err(TuneError::Guardian)?;
        let words = guardian.stdout.take();
        let mut tuned = Self {
            guardian,
            root: root.to_owned(),
            changed: Vec::new(),
            refused: Vec::new(),
        };
        let lines = words
            .into_iter()
            .flat_map(|words| BufReader::new(words).lines());
        for line in lines.map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(Word::Changing(setting)) => tuned.changed.push(setting),
                Ok(Word::Refused(reason)) => {
                    if let Some(setting) = tuned.changed.pop() {
                        tuned.refused.push(format!("{}: {reason}", setting.path));
                    }
                }
                Ok(Word::Ready) => return Ok(tuned),
                Err(_) => break,
            }
        }
        Err(tuned.end().err().unwrap_or(TuneError::Gone))
    }

    /// Has everything put back, and waits until it is.
    ///
    /// # Errors
    /// [`TuneError::Kept`]
    pub fn end(mut self) -> Result<(), TuneError> {
        self.put_back()
    }

    fn put_back(&mut self) -> Result<(), TuneError> {
        // The end of its standard input is the guardian's sign.
        drop(self.guardian.stdin.take());
        let changed = std::mem::take(&mut self.changed);
        if self.guardian.wait().is_ok_and(|status| status.success()) {
            return Ok(());
        }
        // It was killed, or the kernel refused it something: once more, from here.
        let kept = settings::put_back(&self.root, &changed);
        if kept.is_empty() {
            return Ok(());
        }
        Err(TuneError::Kept(kept.join(", ")))
    }
}

impl Drop for Tuned {
    fn drop(&mut self) {
        if let Err(error) = self.put_back() {
            eprintln!("isobench: {error}");
        }
    }
}
