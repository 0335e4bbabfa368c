//! Names in archives, made safe: every one becomes a relative path of plain components, or is refused.
//!
//! Nothing is repaired. An archive with `/etc/passwd` or `a/../../b` in it was made by a broken tool or by someone who
//! tries something; leaving out the slash would unpack something that nobody meant.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Longest path, in bytes: half of what the kernel takes, so that the store's own path fits before it.
const MAX_LENGTH: usize = 2048;
/// Most components: removing a tree holds a descriptor open for each level of it.
const MAX_DEPTH: usize = 256;
/// Longest component (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;

/// Why a name is no [`SafePath`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// It begins with a slash.
    #[error("is absolute")]
    Absolute,
    /// It has `..` in it.
    #[error("has `..` in it")]
    Parent,
    /// It has a zero byte in it.
    #[error("has a zero byte in it")]
    ZeroByte,
    /// It is longer or deeper than any honest one.
    #[error("is too long or too deep")]
    TooLong,
}

/// A relative path of plain components; the empty one is the root itself. In JSON it is an array of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct SafePath {
    path: PathBuf,
}

impl SafePath {
    /// Reads a name of an archive. `.` and empty components say nothing and are left out.
    pub fn parse(name: &[u8]) -> Result<Self, PathFault> {
        if name.contains(&0) {
            return Err(PathFault::ZeroByte);
        }
        if name.starts_with(b"/") {
            return Err(PathFault::Absolute);
        }
        let components = || {
            name.split(|byte| *byte == b'/')
                .filter(|component| !component.is_empty() && *component != b".")
        };
        if components().any(|component| component == b"..") {
            return Err(PathFault::Parent);
        }
        let too_long = name.len() > MAX_LENGTH
            || components().count() > MAX_DEPTH
            || components().any(|component| component.len() > MAX_COMPONENT);
        if too_long {
            return Err(PathFault::TooLong);
        }
        Ok(Self {
            path: components().map(OsStr::from_bytes).collect(),
        })
    }

    /// Whether it is the root itself.
    pub fn is_root(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// As a path.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// The directory and the name in it; `None` for the root.
    pub fn split(&self) -> Option<(Self, &OsStr)> {
        let name = self.path.file_name()?;
        let parent = self.path.parent().unwrap_or(Path::new(""));
        Some((
            Self {
                path: parent.to_owned(),
            },
            name,
        ))
    }

    /// What has the name `name` in this directory. `name` is a component: not empty, without a slash, not `..`.
    pub fn child(&self, name: &OsStr) -> Self {
        Self {
            path: self.path.join(name),
        }
    }

    /// The directories on the way to it, outermost first, without the root and itself.
    pub fn parents(&self) -> Vec<Self> {
        let mut parents: Vec<Self> = self
            .path
            .ancestors()
            .skip(1)
            .filter(|path| !path.as_os_str().is_empty())
            .map(|path| Self {
                path: path.to_owned(),
            })
            .collect();
        parents.reverse();
        parents
    }
}

impl TryFrom<Vec<u8>> for SafePath {
    type Error = PathFault;

    fn try_from(bytes: Vec<u8>) -> Result<Self, PathFault> {
        Self::parse(&bytes)
    }
}

impl From<SafePath> for Vec<u8> {
    fn from(path: SafePath) -> Self {
        path.path.into_os_string().into_encoded_bytes()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_tools_write_is_taken() {
        for (name, path) in [
            ("etc/passwd", "etc/passwd"),
            ("./etc/", "etc"),
            ("./", ""),
            (".", ""),
            ("a//b/./c", "a/b/c"),
            ("..a/b..", "..a/b.."),
        ] {
            let parsed = SafePath::parse(name.as_bytes()).unwrap();
            assert_eq!(parsed.as_path(), Path::new(path), "{name}");
        }
    }

    #[test]
    fn what_leads_out_is_refused() {
        for (name, fault) in [
            ("/etc/passwd", PathFault::Absolute),
            ("/", PathFault::Absolute),
            ("..", PathFault::Parent),
            ("a/../b", PathFault::Parent),
            ("a/..", PathFault::Parent),
            ("a\0b", PathFault::ZeroByte),
            (&"a/".repeat(300), PathFault::TooLong),
            (&"a".repeat(256), PathFault::TooLong),
        ] {
            assert_eq!(SafePath::parse(name.as_bytes()), Err(fault), "{name}");
        }
    }

    #[test]
    fn parents_come_outermost_first() {
        let path = SafePath::parse(b"a/b/c").unwrap();
        let parents: Vec<_> = path.parents().into_iter().map(|p| p.path).collect();
        assert_eq!(parents, [Path::new("a"), Path::new("a/b")]);
        let (parent, name) = path.split().unwrap();
        assert_eq!(
            (parent.as_path(), name),
            (Path::new("a/b"), OsStr::new("c"))
        );
        assert_eq!(parent.child(name), path);
        assert_eq!(SafePath::default().split(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_plain_relative_path_or_refused(
            name in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..64),
                "[./ab]{0,12}".prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(safe) = SafePath::parse(&name) {
                prop_assert!(safe.as_path().components().all(|c| matches!(c, Component::Normal(_))));
                // As often as it is parsed.
                let again = SafePath::parse(safe.as_path().as_os_str().as_bytes());
                prop_assert_eq!(again.unwrap(), safe);
            }
        }
    }
}
