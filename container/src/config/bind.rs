//! A host directory or file that appears in the container.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::c_string::{absolute, c_string};
use super::error::ConfigError;
use super::inside::check_inside;
use crate::isolation::root::plan::{Access, PlaceKind};

/// A host directory or file, and where it appears in the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// The path on the host.
    pub source: PathBuf,
    /// The path in the container.
    pub target: PathBuf,
    /// Whether the container may only read the source.
    pub read_only: bool,
}

/// A text that is no [`Bind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not HOST:INSIDE or HOST:INSIDE:ro")]
pub struct BindSyntaxError {
    text: String,
}

impl FromStr for Bind {
    type Err = BindSyntaxError;

    /// Reads `HOST:INSIDE` or `HOST:INSIDE:ro`. Neither path can hold a colon.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split(':').collect();
        let (source, target, read_only) = match parts[..] {
            [source, target] => (source, target, false),
            [source, target, "ro"] => (source, target, true),
            _ => ("", "", false),
        };
        if source.is_empty() || target.is_empty() {
            return Err(BindSyntaxError {
                text: text.to_owned(),
            });
        }
        Ok(Self {
            source: source.into(),
            target: target.into(),
            read_only,
        })
    }
}

/// A [`Bind`] that is checked.
#[derive(Debug, Clone)]
pub struct CheckedBind {
    /// The absolute path on the host.
    pub source: CString,
    /// The path in the container.
    pub target: CString,
    /// The directories on the way to the target, outermost first, without the root.
    pub parents: Vec<CString>,
    /// Whether the source is a directory or a file.
    pub kind: PlaceKind,
    /// Whether the container may write to the source.
    pub access: Access,
}

impl CheckedBind {
    /// Checks `bind`.
    ///
    /// # Errors
    /// The source cannot be found, or the target is no path inside the container.
    pub fn new(bind: &Bind) -> Result<Self, ConfigError> {
        const ROLE: &str = "bind source";
        let source = std::fs::metadata(&bind.source).map_err(|source| ConfigError::Unusable {
            role: ROLE,
            path: bind.source.clone(),
            source,
        })?;
        check_inside("bind target", &bind.target)?;
        Ok(Self {
            source: absolute(ROLE, &bind.source)?,
            target: c_string(&bind.target)?,
            parents: parents(&bind.target)?,
            kind: PlaceKind::of(source.file_type()),
            access: if bind.read_only {
                Access::ReadOnly
            } else {
                Access::ReadWrite
            },
        })
    }
}

/// The directories on the way to `target`, outermost first, without the root.
fn parents(target: &Path) -> Result<Vec<CString>, ConfigError> {
    let mut parents: Vec<&Path> = target
        .ancestors()
        .skip(1)
        .filter(|path| path.parent().is_some())
        .collect();
    parents.reverse();
    parents.into_iter().map(c_string).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_parents_of_a_target_come_outermost_first() {
        assert_eq!(
            parents(Path::new("/a/b/c")).unwrap(),
            [c"/a".to_owned(), c"/a/b".to_owned()]
        );
        assert!(parents(Path::new("/a")).unwrap().is_empty());
    }

    #[test]
    fn a_bind_is_read_only_if_the_text_says_so() {
        let bind: Bind = "/a:/b:ro".parse().unwrap();
        assert_eq!(bind.source, Path::new("/a"));
        assert_eq!(bind.target, Path::new("/b"));
        assert!(bind.read_only);
        assert!(!"/a:/b".parse::<Bind>().unwrap().read_only);
    }

    #[test]
    fn an_error_names_the_text_that_is_no_bind() {
        for text in ["", "/a", ":", "/a:", ":/b", "/a:/b:rw", "/a:/b:ro:"] {
            let error = text.parse::<Bind>().unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_bind_or_an_error(text: String) {
            if let Ok(bind) = text.parse::<Bind>() {
                let suffix = if bind.read_only { ":ro" } else { "" };
                let (source, target) = (bind.source.display(), bind.target.display());
                prop_assert_eq!(format!("{source}:{target}{suffix}"), text);
            }
        }
    }
}
