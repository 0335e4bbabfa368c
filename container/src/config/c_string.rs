//! Texts as the C strings that system calls take.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::error::ConfigError;

/// `text` as a C string.
///
/// # Errors
/// The text has a zero byte in it.
pub fn c_string(text: impl AsRef<OsStr>) -> Result<CString, ConfigError> {
    let text = text.as_ref();
    CString::new(text.as_bytes()).map_err(|error| ConfigError::ZeroByte {
        text: OsString::from_vec(error.into_vec()),
    })
}

/// The absolute path of `path`. The first process opens the path from another working directory.
///
/// # Errors
/// The path is empty, or has a zero byte in it. The error calls the path the `role`.
pub fn absolute(role: &'static str, path: &Path) -> Result<CString, ConfigError> {
    let absolute = std::path::absolute(path).map_err(|source| ConfigError::Unusable {
        role,
        path: path.to_owned(),
        source,
    })?;
    c_string(absolute)
}
