//! The guest's first file system: a cpio archive in the "newc" format
//! (Documentation/driver-api/early-userspace/buffer-format.rst), which the kernel unpacks into
//! memory.
//!
//! The archive is never in the VMM's own memory: headers and files go straight to their place in
//! guest memory. The files of a large archive are mapped. For that, the content of each larger file
//! begins on a page, after as many zeros behind the file's name as that takes. A small archive is
//! copied, since a guest unpacks a few huge pages sooner than many mapped pages.

mod write;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use crate::memory::{Memory, PAGE};
use write::{HEADER, TRAILER, Window, padded};

/// The most bytes of a name with its zeros, and of a symbolic link, that a kernel takes
/// (`PATH_MAX`).
const LONGEST_NAME: u64 = 4096;
/// The least size of a file that begins on a page. A smaller file would have more padding than
/// content.
const WORTH_A_PAGE: u64 = 4 * PAGE;
/// The least size of an archive whose files are mapped. The archives of images are larger.
const WORTH_MAPPING: u64 = 16 << 20;
/// The most files that are mapped. Each takes up to two of the 65530 mappings that a process may
/// have (`vm.max_map_count`).
const MOST_MAPPED: usize = 16_384;
/// The memory that a kernel needs beside the files, in bytes: its own code and data.
const KERNEL: u64 = 40 << 20;
/// The memory that a small kernel keeps beside the files, in bytes. Memory below the kernel's place is
/// the kernel's as well.
const LEAST_KERNEL: u64 = 24 << 20;
/// The memory for programs beside the image's files, in bytes, if the user names no size.
const FOR_PROGRAMS: u64 = 128 << 20;

// The kinds of an entry, in its mode.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMBOLIC_LINK: u32 = 0o120_000;
const FIFO: u32 = 0o010_000;

/// An archive can't be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A file of the host's can't be read.
    #[error("reading {} for the guest's file system", path.display())]
    Read {
        /// The file's path on the host.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// A file is too large for the format, or a name is too long or not absolute.
    #[error("{} can't be in the guest's file system: its name must be absolute and short, its size below 4 GiB", .0.display())]
    Entry(PathBuf),
    /// The archive can't be written.
    #[error("writing the guest's file system")]
    Write(#[source] io::Error),
}

/// The owner and the permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The permission bits, with set-uid, set-gid and sticky bit.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
}

impl Attributes {
    /// The attributes of a file of root's that everybody may read and run.
    pub const PUBLIC: Self = Self {
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
}

/// A node of the guest's file system.
#[derive(Debug)]
pub enum Node<'n> {
    /// An empty directory.
    Directory,
    /// A file of the host's. The file is opened only when the archive is written, since there may
    /// be more files than a process can hold open.
    File {
        /// The file's path on the host.
        host: &'n Path,
        /// The file's length in bytes.
        size: u64,
        /// The file's device and inode on the host. A second name of the same file becomes a hard
        /// link.
        identity: (u64, u64),
    },
    /// A symbolic link with this target.
    SymbolicLink(&'n OsStr),
    /// A named pipe.
    Fifo,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File {
        host: PathBuf,
        /// The open file, or `None` if the file is opened when the archive is written.
        file: Option<File>,
        size: u64,
    },
    /// A hard link to the file of an earlier entry. It has no bytes of its own.
    Link,
}

#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    /// The bytes of the name with the zeros behind it.
    name_size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    inode: u32,
    content: Content,
}

/// The guest's first file system.
#[derive(Debug, Default)]
pub struct Initramfs {
    entries: Vec<Entry>,
    /// The bytes of the entries so far.
    end: u64,
    /// The number of files that begin on a page.
    mapped: usize,
    /// The pages that the files take in the guest.
    pages: u64,
    /// The inode in the archive of each file of the host's, by the host's device and inode.
    known: HashMap<(u64, u64), u32>,
    /// The number of further names of each file with more than one, by its inode in the archive.
    more_names: HashMap<u32, u32>,
}

impl Initramfs {
    /// Adds an empty directory.
    ///
    /// # Errors
    /// The name is not possible.
    pub fn directory(&mut self, guest: &str) -> Result<(), InitramfsError> {
        self.node(guest.as_ref(), Attributes::PUBLIC, &Node::Directory)
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// The name is not possible, or there are too many bytes.
    pub fn bytes(&mut self, guest: &str, bytes: Vec<u8>) -> Result<(), InitramfsError> {
        let content = Content::Bytes(bytes);
        self.push(guest.as_ref(), REGULAR, Attributes::PUBLIC, content)
    }

    /// Adds a file of the host's, with the directories above. Everybody in the guest may read and
    /// run the file.
    ///
    /// A file that is in the archive already gets a second name, and no second copy.
    ///
    /// # Errors
    /// The file can't be opened, is no regular file or is too large, or the name is not possible.
    pub fn file(&mut self, guest: &str, host: &Path) -> Result<(), InitramfsError> {
        let failed = |source| InitramfsError::Read {
            path: host.to_owned(),
            source,
        };
        let file = File::open(host).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other(
                "the path leads to no regular file",
            )));
        }
        for parent in parents(guest) {
            let is_parent = |entry: &Entry| entry.name == parent.as_bytes();
            if !self.entries.iter().any(is_parent) {
                self.directory(&format!("/{parent}"))?;
            }
        }
        let content = Content::File {
            host: host.to_owned(),
            file: Some(file),
            size: metadata.len(),
        };
        let identity = (metadata.dev(), metadata.ino());
        self.push_file(guest.as_ref(), Attributes::PUBLIC, content, identity)
    }

    /// Adds a node. The node's directory must be in the archive already.
    ///
    /// # Errors
    /// The name or a link's target is too long, or a file is too large.
    pub fn node(
        &mut self,
        guest: &Path,
        attributes: Attributes,
        node: &Node<'_>,
    ) -> Result<(), InitramfsError> {
        let nothing = Content::Bytes(Vec::new());
        match node {
            Node::Directory => self.push(guest, DIRECTORY, attributes, nothing),
            Node::Fifo => self.push(guest, FIFO, attributes, nothing),
            Node::SymbolicLink(target) => {
                let content = Content::Bytes(target.as_bytes().to_vec());
                if content.size() >= LONGEST_NAME {
                    return Err(InitramfsError::Entry(guest.to_owned()));
                }
                self.push(guest, SYMBOLIC_LINK, attributes, content)
            }
            Node::File {
                host,
                size,
                identity,
            } => {
                let content = Content::File {
                    host: (*host).to_owned(),
                    file: None,
                    size: *size,
                };
                self.push_file(guest, attributes, content, *identity)
            }
        }
    }

    fn push_file(
        &mut self,
        guest: &Path,
        attributes: Attributes,
        content: Content,
        identity: (u64, u64),
    ) -> Result<(), InitramfsError> {
        if let Some(&inode) = self.known.get(&identity) {
            self.push(guest, REGULAR, attributes, Content::Link)?;
            if let Some(link) = self.entries.last_mut() {
                link.inode = inode;
            }
            *self.more_names.entry(inode).or_default() += 1;
            return Ok(());
        }
        self.push(guest, REGULAR, attributes, content)?;
        let inode = self.entries.last().map_or(0, |entry| entry.inode);
        self.known.insert(identity, inode);
        Ok(())
    }

    fn push(
        &mut self,
        guest: &Path,
        kind: u32,
        attributes: Attributes,
        content: Content,
    ) -> Result<(), InitramfsError> {
        let refused = || InitramfsError::Entry(guest.to_owned());
        let name = guest.as_os_str().as_bytes();
        let name = name.strip_prefix(b"/").ok_or_else(refused)?.to_vec();
        let size = content.size();
        let fits = u32::try_from(size).is_ok() && (name.len() as u64) < LONGEST_NAME;
        if !fits || name.is_empty() || name.contains(&0) {
            return Err(refused());
        }
        let inode = u32::try_from(self.entries.len() + 1).map_err(|_| refused())?;
        let may_map = self.mapped < MOST_MAPPED;
        let least = name.len() as u64 + 1;
        let name_size = name_size(least, may_map.then_some(&content), self.end);
        self.mapped += usize::from(name_size > least);
        let entry = Entry {
            name_size,
            name,
            mode: kind | attributes.mode & 0o7777,
            uid: attributes.uid,
            gid: attributes.gid,
            inode,
            content,
        };
        self.pages += size.div_ceil(PAGE);
        self.end += entry.size();
        self.entries.push(entry);
        Ok(())
    }

    /// The size of the archive in bytes.
    pub fn size(&self) -> u64 {
        self.end + padded(HEADER + TRAILER.len() as u64 + 1)
    }

    /// The least memory in which a guest can unpack the archive. The archive stays in memory until
    /// all files are unpacked. A root file system in memory (tmpfs) takes at most half of the
    /// memory that is left, and at least a page for each file.
    pub fn least_memory(&self) -> ByteSize {
        self.memory_beside(KERNEL)
    }

    /// The least memory for the archive and a kernel that ends at `kernel_end`.
    pub fn least_memory_behind(&self, kernel_end: u64) -> ByteSize {
        let both = kernel_end.saturating_add(self.size());
        let both = both.checked_next_multiple_of(1 << 20).unwrap_or(u64::MAX);
        self.memory_beside(LEAST_KERNEL).max(ByteSize(both))
    }

    /// The memory for the archive and its files beside `kernel` bytes, in whole mebibytes.
    fn memory_beside(&self, kernel: u64) -> ByteSize {
        let files = 2 * PAGE * self.pages.max(self.entries.len() as u64);
        let held = self.size() + files + kernel;
        // The kernel has a descriptor for each page, of a 64th of its size.
        ByteSize((held + held / 64).next_multiple_of(1 << 20))
    }

    /// The memory of a guest in which programs have room as well.
    pub fn ample_memory(&self) -> ByteSize {
        ByteSize(self.least_memory().as_u64() + FOR_PROGRAMS)
    }

    /// Writes the archive into guest memory.
    ///
    /// # Errors
    /// A file can't be read, or the archive leaves guest memory.
    pub fn load(&self, memory: &Memory, at: u64) -> Result<(), InitramfsError> {
        self.write_to(&mut Window {
            memory,
            at,
            maps: self.size() >= WORTH_MAPPING,
        })
    }

    /// Writes the archive to a file, for another program's virtual machine.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn save(&self, mut to: &File) -> Result<(), InitramfsError> {
        self.write_to(&mut to)
    }

    /// The number of names of an entry's file.
    fn name_count(&self, of: &Entry) -> u32 {
        1 + self.more_names.get(&of.inode).copied().unwrap_or(0)
    }
}

impl Entry {
    fn size(&self) -> u64 {
        padded(HEADER + self.name_size) + padded(self.content.size())
    }
}

impl Content {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
            Self::Link => 0,
        }
    }
}

/// The bytes of an entry's name, where the entry lies at `start` of the archive. The result is
/// `least`, or, for a content that is worth mapping, as many as put the content on a page.
fn name_size(least: u64, content: Option<&Content>, start: u64) -> u64 {
    let content_at = start + HEADER + least;
    let aligned = least + content_at.next_multiple_of(PAGE) - content_at;
    let is_worth_it = matches!(content, Some(Content::File { size, .. }) if *size >= WORTH_A_PAGE);
    if is_worth_it && aligned <= LONGEST_NAME {
        aligned
    } else {
        least
    }
}

/// The directories above a path, the outermost first, without the leading slash.
fn parents(guest: &str) -> Vec<&str> {
    let path = guest.trim_start_matches('/');
    path.match_indices('/').map(|(at, _)| &path[..at]).collect()
}

#[cfg(test)]
mod tests;
