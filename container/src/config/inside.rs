//! Checking a path in the container.

use std::path::{Component, Path};

use super::error::ConfigError;

/// Checks that `path` is absolute and cannot lead out of the container's root.
///
/// # Errors
/// The path is relative, or has `..` in it. The error calls the path the `role`.
pub fn check_inside(role: &'static str, path: &Path) -> Result<(), ConfigError> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain {
        Ok(())
    } else {
        Err(ConfigError::NotInside {
            role,
            path: path.to_owned(),
        })
    }
}
