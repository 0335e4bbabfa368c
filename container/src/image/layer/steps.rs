//! The steps along a path that may lead through links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path};

/// The most symbolic links on the way along a path. The kernel has the same limit.
pub const MAX_LINKS: usize = 40;

/// A step along a path.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// To the root.
    Root,
    /// To the parent directory.
    Up,
    /// To the entry of this name.
    Into(OsString),
}

/// The steps of `path`, which may be the content of a link.
pub fn steps(path: &Path) -> VecDeque<Step> {
    path.components()
        .filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::Into(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
