//! `isobench run --tune`: changes settings of the host that make timings noisy, and restores them
//! at the end of the run, in whatever way the run ends.
//!
//! A killed harness can restore nothing. So a second process, the *guardian* ([`guardian`]), makes
//! the changes and knows the values from before. The guardian reads from a pipe whose other end
//! only the harness holds. When the harness closes that end or has ended, the guardian restores all
//! settings. If the guardian is killed instead, the harness restores them. All of these settings
//! live in the kernel's memory: after a crash the host boots with its own.

pub mod guardian;
mod settings;

use std::io::{self, BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use isobench_reports::model::Setting;
use serde::{Deserialize, Serialize};

use crate::streams::tell;

/// The host's settings can't be changed or restored.
#[derive(Debug, thiserror::Error)]
pub enum TuneError {
    /// The guardian can't be started.
    #[error("cannot start the process that would restore the host's settings")]
    Start(#[source] io::Error),
    /// The guardian has ended before all settings were changed.
    #[error("the process that restores the host's settings ended too early")]
    EndedEarly,
    /// Another run has changed the settings, and will restore them.
    #[error(
        "another run of isobench has tuned this host{}: wait for its end, or leave --tune out",
        process(*.by)
    )]
    Held {
        /// The other run's guardian, if it is of the same PID namespace.
        by: Option<i32>,
    },
    /// Some settings are still changed.
    #[error("these settings of the host could not be restored: {0}; restore them by hand")]
    NotRestored(String),
}

/// A message of the guardian to the harness, one line of JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum GuardianMessage {
    /// The guardian is about to make this change.
    Changing(Setting),
    /// The kernel refused the last change, with this reason.
    Refused(String),
    /// All changes are made.
    Ready,
    /// Another guardian, this process, has changed the settings. Nothing is changed.
    Held {
        /// The process, if it is of the same PID namespace.
        by: Option<i32>,
    },
}

/// A host whose settings are changed until this value is dropped.
#[derive(Debug)]
pub struct TunedHost {
    guardian: Child,
    root: PathBuf,
    /// The settings that have been changed.
    pub changed: Vec<Setting>,
    /// The settings that could not be changed, each with the reason.
    pub refused: Vec<String>,
}

impl TunedHost {
    /// Changes the settings that make timings noisy, in the kernel's files below `root`. Outside of
    /// tests, `root` is `/`.
    ///
    /// # Errors
    /// [`TuneError`]: no setting is changed then, unless the error is [`TuneError::NotRestored`].
    pub fn begin(root: &Path) -> Result<Self, TuneError> {
        let mut guardian = start_guardian(root).map_err(TuneError::Start)?;
        let messages = guardian.stdout.take();
        let mut tuned = Self {
            guardian,
            root: root.to_owned(),
            changed: Vec::new(),
            refused: Vec::new(),
        };
        let lines = messages
            .into_iter()
            .flat_map(|messages| BufReader::new(messages).lines());
        for line in lines.map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(GuardianMessage::Changing(setting)) => tuned.changed.push(setting),
                Ok(GuardianMessage::Refused(reason)) => {
                    if let Some(setting) = tuned.changed.pop() {
                        tuned.refused.push(format!("{}: {reason}", setting.path));
                    }
                }
                Ok(GuardianMessage::Ready) => return Ok(tuned),
                Ok(GuardianMessage::Held { by }) => return Err(TuneError::Held { by }),
                Err(_) => break,
            }
        }
        Err(tuned.end().err().unwrap_or(TuneError::EndedEarly))
    }

    /// Has the guardian restore all settings, and waits until they are restored.
    ///
    /// # Errors
    /// [`TuneError::NotRestored`]
    pub fn end(mut self) -> Result<(), TuneError> {
        self.restore()
    }

    fn restore(&mut self) -> Result<(), TuneError> {
        // The guardian restores the settings when its standard input ends.
        drop(self.guardian.stdin.take());
        let changed = std::mem::take(&mut self.changed);
        if self.guardian.wait().is_ok_and(|status| status.success()) {
            return Ok(());
        }
        // The guardian was killed, or the kernel refused a write: the harness tries as well.
        let unrestored = settings::restore(&self.root, &changed);
        if unrestored.is_empty() {
            return Ok(());
        }
        Err(TuneError::NotRestored(unrestored.join(", ")))
    }
}

/// Words that name the process which restores the settings.
fn process(by: Option<i32>) -> String {
    by.map_or_else(String::new, |pid| {
        format!(", and its process {pid} restores it")
    })
}

fn start_guardian(root: &Path) -> io::Result<Child> {
    Command::new(std::env::current_exe()?)
        .args(["keep-settings", "--root"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // A signal from the terminal then reaches the harness alone.
        .process_group(0)
        .spawn()
}

impl Drop for TunedHost {
    fn drop(&mut self) {
        if let Err(error) = self.restore() {
            tell(format_args!("isobench: {error}"));
        }
    }
}
