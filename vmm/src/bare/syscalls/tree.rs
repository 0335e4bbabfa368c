//! The read-only file tree: the program, the files given by `--file`, and a few devices. What the
//! program writes itself is not in the tree.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::proc_files::ProcFile;
use crate::devices::console::Stream;

/// The most bytes of a path, with its final NUL (`PATH_MAX`).
pub(super) const PATH_MAX: usize = 4096;
/// The most bytes of a file's name (`NAME_MAX`).
pub(super) const NAME_MAX: usize = 255;

/// Why a file can't be put into the guest's tree.
#[derive(Debug, thiserror::Error)]
pub enum FileTreeError {
    /// The host refused to open the file.
    #[error("opening {} for the guest", path.display())]
    Open {
        /// The file's path on the host.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// The path leads to a directory, pipe, socket or device.
    #[error("{} is not a regular file: the guest's tree takes only files", path.display())]
    NotRegular {
        /// The file's path on the host.
        path: PathBuf,
    },
    /// The path inside the guest is relative, contains `..`, or is too long.
    #[error(
        "{:?} can't be a file in the guest: give an absolute path without `..`",
        path
    )]
    BadGuestPath {
        /// The path inside the guest.
        path: PathBuf,
    },
    /// The path inside the guest is taken: by a file, or by a directory in a file's place.
    #[error("{} is there already in the guest", path.display())]
    Occupied {
        /// The path inside the guest.
        path: PathBuf,
    },
}

/// A node's place in [`FileTree`]. The inode number is one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NodeId(usize);

impl NodeId {
    /// The directory `/`.
    pub const ROOT: Self = Self(0);

    /// The inode number. It is never 0, which would mean "deleted".
    pub fn inode(self) -> u64 {
        self.0 as u64 + 1
    }
}

/// One device file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Device {
    /// `/dev/null`.
    Null,
    /// `/dev/zero`.
    Zero,
    /// `/dev/random` and `/dev/urandom`.
    Random,
    /// `/dev/vda`.
    Block,
    /// `/dev/stdin`, `/dev/stdout` and `/dev/stderr`.
    Stream(Stream),
}

/// One node of the tree.
#[derive(Debug)]
pub(super) enum Node {
    Directory {
        parent: NodeId,
        entries: BTreeMap<Vec<u8>, NodeId>,
    },
    File(HostFile),
    Link(Vec<u8>),
    Device(Device),
    /// A file below `/proc` or `/sys`, whose text is made when the program reads the file.
    Proc(ProcFile),
}

/// A regular file of the host's, open for reading only.
#[derive(Debug)]
pub(super) struct HostFile {
    /// The open file, for `preadv` and `mmap`.
    pub file: File,
    /// The size at the time of opening, in bytes.
    pub size: u64,
    /// The permission bits, without those for writing.
    pub mode: u32,
    /// The time of the last modification, in seconds since 1970.
    pub modified: i64,
}

impl HostFile {
    fn new(file: File, metadata: &Metadata) -> Self {
        Self {
            file,
            size: metadata.size(),
            mode: metadata.mode() & 0o555,
            modified: metadata.mtime(),
        }
    }
}

/// The guest's whole file system.
#[derive(Debug)]
pub struct FileTree {
    nodes: Vec<Node>,
    program: PathBuf,
    /// The directory whose entries are the program's descriptors.
    descriptors: NodeId,
    /// The directories where the program can make files of its own.
    writable: Vec<NodeId>,
}

impl FileTree {
    /// Makes a tree with the devices, `/proc`, `/sys` and the program, which lies at `path`.
    ///
    /// # Errors
    /// `path` is not absolute or is a device's, or the host can't tell the program's size.
    pub fn new(path: &Path, program: File) -> Result<Self, FileTreeError> {
        let mut tree = Self {
            nodes: vec![Node::Directory {
                parent: NodeId::ROOT,
                entries: BTreeMap::new(),
            }],
            program: path.to_owned(),
            descriptors: NodeId::ROOT,
            writable: Vec::new(),
        };
        for (name, device) in [
            ("/dev/null", Device::Null),
            ("/dev/zero", Device::Zero),
            ("/dev/random", Device::Random),
            ("/dev/urandom", Device::Random),
            ("/dev/stdin", Device::Stream(Stream::Input)),
            ("/dev/stdout", Device::Stream(Stream::Output)),
            ("/dev/stderr", Device::Stream(Stream::Error)),
        ] {
            tree.insert(Path::new(name), Node::Device(device))?;
        }
        tree.descriptors = tree.add_proc(path)?;
        tree.writable = [&[&b"tmp"[..]][..], &[b"dev", b"shm"]]
            .into_iter()
            .filter_map(|names| tree.make_directory(names))
            .collect();
        let metadata = program.metadata().map_err(|source| FileTreeError::Open {
            path: path.to_owned(),
            source,
        })?;
        tree.insert(path, Node::File(HostFile::new(program, &metadata)))?;
        Ok(tree)
    }

    /// Adds the host's file `host` at `guest`, with the directories above.
    ///
    /// # Errors
    /// `host` can't be opened or is no regular file, or `guest` is no absolute path or is taken.
    pub fn add_file(&mut self, guest: &Path, host: &Path) -> Result<(), FileTreeError> {
        let failed = |source| FileTreeError::Open {
            path: host.to_owned(),
            source,
        };
        // Without O_NONBLOCK, the opening of a pipe would wait for a writer.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(host)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileTreeError::NotRegular {
                path: host.to_owned(),
            });
        }
        self.insert(guest, Node::File(HostFile::new(file, &metadata)))
    }

    /// Makes `/dev/stdin` the open file `input`, and gives its node.
    pub(super) fn set_input(&mut self, input: File) -> io::Result<Option<NodeId>> {
        let metadata = input.metadata()?;
        let Some(node) = self.device_of(Stream::Input) else {
            return Ok(None);
        };
        self.nodes[node.0] = Node::File(HostFile::new(input, &metadata));
        Ok(Some(node))
    }

    /// The node of a stream of the console.
    pub(super) fn device_of(&self, stream: Stream) -> Option<NodeId> {
        self.find(Path::new(match stream {
            Stream::Input => "/dev/stdin",
            Stream::Output => "/dev/stdout",
            Stream::Error => "/dev/stderr",
        }))
    }

    /// The directory with a link for each descriptor of the program.
    pub(super) fn descriptors(&self) -> NodeId {
        self.descriptors
    }

    /// The directories where the program can make files of its own.
    pub(super) fn writable(&self) -> Vec<NodeId> {
        self.writable.clone()
    }

    /// Whether `node` is that directory.
    pub(super) fn is_of_descriptors(&self, node: NodeId) -> bool {
        node == self.descriptors
    }

    /// The program's path.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Adds `/dev/vda`.
    pub(super) fn add_block_device(&mut self) -> Result<(), FileTreeError> {
        self.insert(Path::new("/dev/vda"), Node::Device(Device::Block))
    }

    pub(super) fn insert(&mut self, path: &Path, node: Node) -> Result<(), FileTreeError> {
        let bytes = path.as_os_str().as_bytes();
        let bad = || FileTreeError::BadGuestPath {
            path: path.to_owned(),
        };
        let occupied = || FileTreeError::Occupied {
            path: path.to_owned(),
        };
        if !bytes.starts_with(b"/") || bytes.len() >= PATH_MAX {
            return Err(bad());
        }
        let names: Vec<&[u8]> = components(bytes).collect();
        let unusable = |name: &&[u8]| *name == b".." || name.len() > NAME_MAX || name.contains(&0);
        let Some((last, above)) = names.split_last() else {
            return Err(bad());
        };
        if bytes.ends_with(b"/") || names.iter().any(unusable) {
            return Err(bad());
        }
        let directory = self.make_directory(above).ok_or_else(occupied)?;
        self.add_entry(directory, last, node).ok_or_else(occupied)?;
        Ok(())
    }

    /// The directory to which these names lead. What is missing on the way is made.
    pub(super) fn make_directory(&mut self, names: &[&[u8]]) -> Option<NodeId> {
        names.iter().try_fold(NodeId::ROOT, |directory, name| {
            self.subdirectory(directory, name)
        })
    }

    /// The directory `name` in `directory`, which is made if nothing has the name.
    fn subdirectory(&mut self, directory: NodeId, name: &[u8]) -> Option<NodeId> {
        let Node::Directory { entries, .. } = self.node(directory) else {
            return None;
        };
        if let Some(&there) = entries.get(name) {
            return matches!(self.node(there), Node::Directory { .. }).then_some(there);
        }
        let fresh = Node::Directory {
            parent: directory,
            entries: BTreeMap::new(),
        };
        self.add_entry(directory, name, fresh)
    }

    fn add_entry(&mut self, directory: NodeId, name: &[u8], node: Node) -> Option<NodeId> {
        let id = NodeId(self.nodes.len());
        let Some(Node::Directory { entries, .. }) = self.nodes.get_mut(directory.0) else {
            return None;
        };
        let Entry::Vacant(vacant) = entries.entry(name.to_vec()) else {
            return None;
        };
        vacant.insert(id);
        self.nodes.push(node);
        Some(id)
    }

    /// The node behind `id`.
    pub(super) fn node(&self, id: NodeId) -> &Node {
        // The index is valid: an id is made together with its node, and nodes are never removed.
        &self.nodes[id.0]
    }

    /// The node at an absolute `path` that leads over no link.
    pub(super) fn find(&self, path: &Path) -> Option<NodeId> {
        components(path.as_os_str().as_bytes())
            .try_fold(NodeId::ROOT, |at, name| self.child(at, name).ok())
    }

    /// The node `name` in the directory `at`.
    pub(super) fn child(&self, at: NodeId, name: &[u8]) -> Result<NodeId, Errno> {
        let Node::Directory { parent, entries } = self.node(at) else {
            return Err(Errno::ENOTDIR);
        };
        match name {
            b".." => Ok(*parent),
            name => entries.get(name).copied().ok_or(Errno::ENOENT),
        }
    }

    /// The absolute path of a node.
    pub(super) fn path_of(&self, node: NodeId) -> Vec<u8> {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut at = node;
        while at != NodeId::ROOT {
            let Some((directory, name)) = self.place_of(at) else {
                break;
            };
            names.push(name);
            at = directory;
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        path
    }

    /// The directory that has a node, and the node's name there.
    fn place_of(&self, node: NodeId) -> Option<(NodeId, &[u8])> {
        self.nodes.iter().enumerate().find_map(|(index, above)| {
            let Node::Directory { entries, .. } = above else {
                return None;
            };
            let (name, _) = entries.iter().find(|(_, id)| **id == node)?;
            Some((NodeId(index), name.as_slice()))
        })
    }
}

/// The names in a path, without empty names and `.`.
pub(super) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
}
