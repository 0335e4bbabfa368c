//! What a member of a layer says: something is here, or something of the layers below is gone.
//!
//! `.wh.NAME` takes away NAME of the layers below, and `.wh..wh..opq` takes away everything that
//! the layers below have in its directory (image-spec, layer.md).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use super::fault::LayerFault;
use super::path::{PathFault, SafePath};
use crate::image::archive::members::{Member, MemberKind};

/// The prefix of whiteouts' names.
const WHITEOUT: &[u8] = b".wh.";
/// The name of the whiteout of everything that the layers below have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// The prefix of other names that aufs keeps for itself, for links and orphans. Such members say
/// nothing.
const RESERVED: &[u8] = b".wh..wh.";

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with this content. The content is only stored, so it may say anything.
    SymbolicLink(OsString),
    /// One more name of a file of this layer.
    HardLink(SafePath),
    /// A named pipe.
    Fifo,
    /// A device. No device is made: a container's root could not use it, and on the host it would
    /// be a danger. But the device hides what the layers below have at its path.
    Device,
}

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Something is at this path.
    Node(SafePath, Node),
    /// What the layers below have at this path is gone.
    Whiteout(SafePath),
    /// What the layers below have in this directory is gone.
    Opaque(SafePath),
    /// The member says nothing.
    Nothing,
}

/// Interprets what `member` says.
pub fn interpret(member: &Member) -> Result<Change, LayerFault> {
    let path = parse(&member.name)?;
    let Some((parent, name)) = path.split() else {
        return root(member);
    };
    let reserved = |component: &OsStr| component.as_bytes().starts_with(RESERVED);
    if name.as_bytes() == OPAQUE && !has_whiteout(&parent) {
        return Ok(Change::Opaque(parent));
    }
    if path.as_path().iter().any(reserved) {
        return Ok(Change::Nothing);
    }
    let refused = || LayerFault::Whiteout {
        name: shown(&member.name),
    };
    if has_whiteout(&parent) {
        return Err(refused());
    }
    if let Some(hidden) = name.as_bytes().strip_prefix(WHITEOUT) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(refused());
        }
        return Ok(Change::Whiteout(parent.child(OsStr::from_bytes(hidden))));
    }
    Ok(Change::Node(path, node(member)?))
}

/// Whether a component of `path` is the name of a whiteout.
fn has_whiteout(path: &SafePath) -> bool {
    path.as_path()
        .iter()
        .any(|component| component.as_bytes().starts_with(WHITEOUT))
}

fn root(member: &Member) -> Result<Change, LayerFault> {
    if member.kind == MemberKind::Directory {
        return Ok(Change::Node(SafePath::default(), Node::Directory));
    }
    Err(LayerFault::Through {
        name: shown(&member.name).into(),
        through: "/".into(),
    })
}

fn node(member: &Member) -> Result<Node, LayerFault> {
    Ok(match member.kind {
        MemberKind::File => Node::File,
        MemberKind::Directory => Node::Directory,
        MemberKind::SymbolicLink => {
            if member.link.is_empty() || member.link.contains(&0) {
                return Err(LayerFault::Path {
                    name: shown(&member.name),
                    fault: PathFault::ZeroByte,
                });
            }
            Node::SymbolicLink(OsString::from_vec(member.link.clone()))
        }
        MemberKind::HardLink => {
            Node::HardLink(
                SafePath::parse(&member.link).map_err(|fault| LayerFault::HardLink {
                    name: shown(&member.name),
                    target: shown(&member.link),
                    why: match fault {
                        PathFault::Parent => "leads out of the image",
                        PathFault::ZeroByte | PathFault::TooLong => "is no path",
                    },
                })?,
            )
        }
        MemberKind::Fifo => Node::Fifo,
        MemberKind::Device => Node::Device,
    })
}

fn parse(name: &[u8]) -> Result<SafePath, LayerFault> {
    SafePath::parse(name).map_err(|fault| LayerFault::Path {
        name: shown(name),
        fault,
    })
}

/// A name for a message, which is cut if the name is long.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(256).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str) -> Result<Change, LayerFault> {
        let member = Member {
            name: name.into(),
            kind: MemberKind::File,
            link: Vec::new(),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: (0, 0),
            size: 0,
            segments: None,
            attributes: Vec::new(),
        };
        interpret(&member)
    }

    fn path(text: &str) -> SafePath {
        SafePath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn whiteouts_and_files_are_told_apart() {
        for (name, expected) in [
            ("a/b", Change::Node(path("a/b"), Node::File)),
            ("a/.wh.b", Change::Whiteout(path("a/b"))),
            (".wh.b", Change::Whiteout(path("b"))),
            ("/.wh.b", Change::Whiteout(path("b"))),
            ("a/.wh..b", Change::Whiteout(path("a/.b"))),
            ("a/.wh..wh..opq", Change::Opaque(path("a"))),
            (".wh..wh..opq", Change::Opaque(path(""))),
            (".wh..wh.plnk/1.2", Change::Nothing),
            (".wh..wh.aufs", Change::Nothing),
            ("a/.whb", Change::Node(path("a/.whb"), Node::File)),
        ] {
            assert_eq!(change(name).unwrap(), expected, "{name}");
        }
    }

    #[test]
    fn whiteouts_of_nothing_are_refused() {
        for name in [
            ".wh.",
            "a/.wh..",
            "a/.wh...",
            ".wh.a/b",
            ".wh.a/.wh.b",
            "../.wh.a",
        ] {
            assert!(change(name).is_err(), "{name}");
        }
    }
}
