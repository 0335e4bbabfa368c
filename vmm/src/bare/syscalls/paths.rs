//! Where a path leads: from name to name and over links, through the tree, the scratch files and
//! `/proc/self/fd`.

use nix::errno::Errno;

use super::Personality;
use super::place::{InodeId, Place};
use super::scratch::{Inode, Kind};
use super::tree::{NAME_MAX, Node, NodeId, components};

/// The most symbolic links through which a path may lead (`MAXSYMLINKS`).
const MAX_LINKS: usize = 40;

/// Whether a path that ends in a symbolic link means the link or its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastLink {
    /// The path means the link's target.
    Follow,
    /// The path means the link itself (`O_NOFOLLOW`, `AT_SYMLINK_NOFOLLOW`).
    Keep,
}

/// The end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PathEnd {
    /// The path leads to something.
    There(Place),
    /// Only the last name of the path is missing, in this directory.
    Missing {
        /// The directory.
        directory: Place,
        /// The name.
        name: Vec<u8>,
        /// Whether only a directory can have the path, since it ends in a slash.
        names_directory: bool,
    },
}

/// Where a symbolic link leads.
enum LinkTarget<'a> {
    Path(&'a [u8]),
    Place(Place),
}

/// Whether only a directory can have the path `path`.
fn names_directory_in(path: &[u8]) -> bool {
    path.ends_with(b"/") || ends_in_dot_in(path)
}

/// Whether the last name in `path` is `.`, which can't be made.
fn ends_in_dot_in(path: &[u8]) -> bool {
    path == b"." || path.ends_with(b"/.")
}

impl Personality {
    /// What `path` leads to from the directory `start`.
    pub(super) fn resolve(
        &self,
        start: Place,
        path: &[u8],
        last_link: LastLink,
    ) -> Result<Place, Errno> {
        match self.walk(start, path, last_link)? {
            PathEnd::There(place) => Ok(place),
            PathEnd::Missing { .. } => Err(Errno::ENOENT),
        }
    }

    /// The end of `path` from the directory `start`.
    pub(super) fn walk<'a>(
        &'a self,
        start: Place,
        path: &'a [u8],
        last_link: LastLink,
    ) -> Result<PathEnd, Errno> {
        if path.is_empty() {
            return Err(Errno::ENOENT);
        }
        let mut at = if path.starts_with(b"/") {
            Place::ROOT
        } else {
            start
        };
        // A path that ends in a slash names a directory, so its last link is followed.
        let mut names_directory = names_directory_in(path);
        let mut ends_in_dot = ends_in_dot_in(path);
        let follows_last = names_directory || last_link == LastLink::Follow;
        let mut left: Vec<&[u8]> = components(path).collect();
        left.reverse();
        let mut links = 0;
        while let Some(name) = left.pop() {
            let next = match self.child(at, name) {
                Err(Errno::ENOENT) if left.is_empty() && !ends_in_dot => {
                    return Ok(PathEnd::Missing {
                        directory: at,
                        name: name.to_vec(),
                        names_directory,
                    });
                }
                next => next?,
            };
            let target = self.link_target(next);
            let Some(target) = target.filter(|_| follows_last || !left.is_empty()) else {
                at = next;
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::ELOOP);
            }
            match target {
                LinkTarget::Place(place) => at = place,
                LinkTarget::Path(target) => {
                    if target.starts_with(b"/") {
                        at = Place::ROOT;
                    }
                    let above = left.len();
                    if above == 0 {
                        names_directory |= names_directory_in(target);
                        ends_in_dot |= ends_in_dot_in(target);
                    }
                    left.extend(components(target));
                    left[above..].reverse();
                }
            }
        }
        if names_directory && !self.is_directory(at) {
            return Err(Errno::ENOTDIR);
        }
        Ok(PathEnd::There(at))
    }

    /// The directory of what `path` names, and the name there, which may be `.`, `..` or empty.
    pub(super) fn resolve_parent<'p>(
        &self,
        start: Place,
        path: &'p [u8],
    ) -> Result<(Place, &'p [u8]), Errno> {
        let end = path
            .iter()
            .rposition(|&byte| byte != b'/')
            .map_or(0, |last| last + 1);
        let name = path[..end]
            .rsplit(|&byte| byte == b'/')
            .next()
            .unwrap_or_default();
        let directory = match &path[..end - name.len()] {
            b"" if path.is_empty() => return Err(Errno::ENOENT),
            b"" if path.starts_with(b"/") => Place::ROOT,
            b"" => start,
            above => self.resolve(start, above, LastLink::Follow)?,
        };
        if self.is_directory(directory) {
            Ok((directory, name))
        } else {
            Err(Errno::ENOTDIR)
        }
    }

    /// What has the name `name` in the directory `at`.
    pub(super) fn child(&self, at: Place, name: &[u8]) -> Result<Place, Errno> {
        if !self.is_directory(at) {
            return Err(Errno::ENOTDIR);
        }
        if name.len() > NAME_MAX {
            return Err(Errno::ENAMETOOLONG);
        }
        match at {
            Place::Tree(node) if self.tree.is_of_descriptors(node) && name != b".." => {
                self.descriptor_named(name).map(Place::Descriptor)
            }
            Place::Tree(node) => self.tree.child(node, name).map(|node| self.place_of(node)),
            Place::Scratch(inode) => self.scratch_child(inode, name),
            Place::Descriptor(_) => Err(Errno::ENOTDIR),
        }
    }

    /// The place of a node: what the program makes itself is in place of some directories.
    pub(super) fn place_of(&self, node: NodeId) -> Place {
        let scratch = self.scratch.in_place_of(node);
        scratch.map_or(Place::Tree(node), Place::Scratch)
    }

    /// What has the name `name` in a scratch directory. At the top, the files of the tree show
    /// through.
    fn scratch_child(&self, directory: InodeId, name: &[u8]) -> Result<Place, Errno> {
        let below = self.scratch.below(directory);
        if name == b".." {
            return match (self.scratch.parent(directory), below) {
                (Some(parent), _) => Ok(Place::Scratch(parent)),
                (None, Some(below)) => Ok(self.place_of(self.tree.child(below, name)?)),
                (None, None) => Err(Errno::ENOENT),
            };
        }
        match (self.scratch.child(directory, name), below) {
            (Err(Errno::ENOENT), Some(below)) => self.tree.child(below, name).map(Place::Tree),
            (found, _) => found.map(Place::Scratch),
        }
    }

    /// Whether `place` is a directory.
    pub(super) fn is_directory(&self, place: Place) -> bool {
        match place {
            Place::Tree(node) => matches!(self.tree.node(node), Node::Directory { .. }),
            Place::Scratch(inode) => self.scratch.inode(inode).is_ok_and(Inode::is_directory),
            Place::Descriptor(_) => false,
        }
    }

    /// Where the link at `place` leads, if a link is there.
    fn link_target(&self, place: Place) -> Option<LinkTarget<'_>> {
        match place {
            Place::Tree(node) => match self.tree.node(node) {
                Node::Link(target) => Some(LinkTarget::Path(target)),
                _ => None,
            },
            Place::Scratch(inode) => {
                match self.scratch.inode(inode).ok().map(|inode| &inode.kind) {
                    Some(Kind::Link(target)) => Some(LinkTarget::Path(target)),
                    _ => None,
                }
            }
            // What is in no directory can't be opened anew: the link leads to itself.
            Place::Descriptor(number) => self.place_behind(number).map(LinkTarget::Place),
        }
    }

    /// The absolute path of a file or directory. The result is `None` if it is in no directory.
    pub(super) fn path_of(&self, place: Place) -> Option<Vec<u8>> {
        match place {
            Place::Tree(node) => Some(self.tree.path_of(node)),
            Place::Scratch(inode) => {
                let (top, names) = self.scratch.path_of(inode)?;
                let mut path = self.tree.path_of(self.scratch.below(top)?);
                for name in names {
                    path.push(b'/');
                    path.extend_from_slice(name);
                }
                Some(path)
            }
            Place::Descriptor(number) => {
                let directory = self.tree.path_of(self.tree.descriptors());
                Some([&directory, &b"/"[..], number.to_string().as_bytes()].concat())
            }
        }
    }
}
