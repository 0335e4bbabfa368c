//! Files of the user in TOML (<https://toml.io/en/v1.0.0>): read up to a bound, and what is wrong is
//! told with its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The largest file that is read, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// A file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum TomlFileError {
    /// The file can't be read.
    #[error("cannot read the {what} {}", path.display())]
    Read {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file is larger than such a file can be.
    #[error("{} has {bytes} bytes, and a {what} has {LARGEST} at most", path.display())]
    TooLarge {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The size of the file.
        bytes: u64,
    },
    /// The file is no TOML, or has a key or a value that isn't known.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
}

/// The text of the file at `path`, which messages call a `what`.
///
/// # Errors
/// The file can't be read, or is too large.
pub fn read(path: &Path, what: &'static str) -> Result<String, TomlFileError> {
    let path_of = || path.to_owned();
    let unreadable = |source| TomlFileError::Read {
        what,
        path: path_of(),
        source,
    };
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > LARGEST {
        return Err(TomlFileError::TooLarge {
            what,
            path: path_of(),
            bytes,
        });
    }
    fs::read_to_string(path).map_err(unreadable)
}

/// What `text`, the text of the file at `path`, says.
///
/// # Errors
/// The text is no TOML, or doesn't have the form of a `T`.
pub fn parse<T: DeserializeOwned>(text: &str, path: &Path) -> Result<T, TomlFileError> {
    toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        TomlFileError::syntax(path, text, offset, error.message())
    })
}

impl TomlFileError {
    /// What is wrong at the byte `offset` of `text`, the text of the file at `path`.
    pub fn syntax(path: &Path, text: &str, offset: usize, message: &str) -> Self {
        let (line, column) = place(text, offset);
        Self::Syntax {
            path: path.to_owned(),
            line,
            column,
            message: message.replace('\n', "; "),
        }
    }
}

/// The line and the column, from 1, of the byte `offset` of `text`.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}
