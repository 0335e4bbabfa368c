//! The steps along a path that may lead through links.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path};

use super::path::SafePath;

/// The most symbolic links on the way along a path. The kernel has the same limit.
const MAX_LINKS: usize = 40;

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

/// The way along a path. Each link on the way is taken by its content.
#[derive(Debug)]
pub struct Route {
    left: VecDeque<Step>,
    links: usize,
}

impl Route {
    /// The way along `path`.
    pub fn along(path: &Path) -> Self {
        Self {
            left: steps(path),
            links: 0,
        }
    }

    /// The next step; `None` at the end.
    pub fn next_step(&mut self) -> Option<Step> {
        self.left.pop_front()
    }

    /// The name of the next entry of the directory `place`; `None` at the end. Steps to the root and
    /// to a parent directory are taken before: they change `place`.
    pub fn next_name(&mut self, place: &mut SafePath) -> Option<OsString> {
        loop {
            match self.next_step()? {
                Step::Root => *place = SafePath::default(),
                Step::Up => *place = place.split().map_or_else(SafePath::default, |(up, _)| up),
                Step::Into(name) => return Some(name),
            }
        }
    }

    /// Goes on along the content of a link, and then along the rest. Returns whether that may be:
    /// not after too many links.
    pub fn follow(&mut self, content: &Path) -> bool {
        self.links += 1;
        for step in steps(content).into_iter().rev() {
            self.left.push_front(step);
        }
        self.links <= MAX_LINKS
    }
}

/// The steps of `path`, which may be the content of a link.
fn steps(path: &Path) -> VecDeque<Step> {
    path.components()
        .filter_map(|component| match component {
            Component::RootDir => Some(Step::Root),
            Component::ParentDir => Some(Step::Up),
            Component::Normal(name) => Some(Step::Into(name.to_owned())),
            Component::CurDir | Component::Prefix(_) => None,
        })
        .collect()
}
