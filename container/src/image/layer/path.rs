//! Names in archives, made safe: each name becomes a relative path of plain components, or is
//! refused.
//!
//! Builders write `/etc/passwd`, `./etc/passwd` and `a/../etc/passwd`, and mean `etc/passwd` of the
//! image: docker, containerd, podman and umoci all read the names so. A name that leads out of the
//! image, such as `../b`, means nothing that anybody could want, and is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The longest path, in bytes: half of what the kernel takes, so that the store's own path fits
/// before it.
const MAX_LENGTH: usize = 2048;
/// The most components of a path. Removing a tree holds a descriptor open for each level.
const MAX_DEPTH: usize = 256;
/// The longest component, in bytes (`NAME_MAX`).
const MAX_COMPONENT: usize = 255;

/// Why a name is no safe path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// The name leads out of the image.
    #[error("leads out of the image by `..`")]
    Parent,
    /// The name has a zero byte in it.
    #[error("has a zero byte in it")]
    ZeroByte,
    /// The name is longer or deeper than any honest name.
    #[error("is too long or too deep")]
    TooLong,
}

/// A relative path of plain components. The empty path is the root itself. In JSON a path is an
/// array of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct SafePath {
    path: PathBuf,
}

impl SafePath {
    /// Reads a name of an archive. Leading slashes, empty components and `.` mean nothing. `..`
    /// takes back the component before it; the parent of `/` is `/`.
    pub fn parse(name: &[u8]) -> Result<Self, PathFault> {
        if name.contains(&0) {
            return Err(PathFault::ZeroByte);
        }
        let is_absolute = name.starts_with(b"/");
        let mut components: Vec<&[u8]> = Vec::new();
        for component in name.split(|byte| *byte == b'/') {
            match component {
                b"" | b"." => {}
                b".." => {
                    if components.pop().is_none() && !is_absolute {
                        return Err(PathFault::Parent);
                    }
                }
                plain => components.push(plain),
            }
        }
        let too_long = name.len() > MAX_LENGTH
            || components.len() > MAX_DEPTH
            || components.iter().any(|c| c.len() > MAX_COMPONENT);
        if too_long {
            return Err(PathFault::TooLong);
        }
        Ok(Self {
            path: components.into_iter().map(OsStr::from_bytes).collect(),
        })
    }

    /// Whether this is the root itself.
    pub fn is_root(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// This path in the standard library's type.
    pub fn as_path(&self) -> &Path {
        &self.path
    }

    /// The parent directory, and the name in that directory; `None` for the root.
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

    /// The path of `name` in this directory. `name` is one component: it is not empty, has no slash
    /// and is not `..`.
    pub fn child(&self, name: &OsStr) -> Self {
        Self {
            path: self.path.join(name),
        }
    }

    /// The path of `name` in this directory, as [`SafePath::child`], unless that is too long or too
    /// deep.
    pub fn join(&self, name: &OsStr) -> Result<Self, PathFault> {
        Self::parse(self.path.join(name).as_os_str().as_bytes())
    }

    /// The directories on the way to this path, outermost first, without the root and the path
    /// itself.
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
    fn names_that_tools_write_are_taken() {
        for (name, path) in [
            ("etc/passwd", "etc/passwd"),
            ("./etc/", "etc"),
            ("./", ""),
            (".", ""),
            ("a//b/./c", "a/b/c"),
            ("..a/b..", "..a/b.."),
            ("/etc/passwd", "etc/passwd"),
            ("//etc/", "etc"),
            ("/", ""),
            ("a/../b", "b"),
            ("a/..", ""),
            ("/../a", "a"),
        ] {
            let parsed = SafePath::parse(name.as_bytes()).unwrap();
            assert_eq!(parsed.as_path(), Path::new(path), "{name}");
        }
    }

    #[test]
    fn names_that_lead_out_or_are_absurd_are_refused() {
        for (name, fault) in [
            ("..", PathFault::Parent),
            ("../a", PathFault::Parent),
            ("a/../../b", PathFault::Parent),
            ("./../a", PathFault::Parent),
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
                let mut components = safe.as_path().components();
                prop_assert!(components.all(|c| matches!(c, Component::Normal(_))));
                let again = SafePath::parse(safe.as_path().as_os_str().as_bytes());
                prop_assert_eq!(again.unwrap(), safe);
            }
        }
    }
}
