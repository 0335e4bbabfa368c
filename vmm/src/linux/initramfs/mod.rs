//! The guest's first file system: a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst),
//! which the kernel unpacks into memory.
//!
//! The archive is never in the VMM's own memory: headers and files go straight to where the guest finds them. In a large archive
//! files are mapped: the content of each of some size begins on a page, for which there are as many zeros behind its name as that
//! takes. A small one is copied, since its guest unpacks it sooner from a few huge pages than from many that are mapped.

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

/// The longest name with its zeros, and the longest symbolic link, that a kernel takes (`PATH_MAX`).
const LONGEST_NAME: u64 = 4096;
/// From which size on a file begins on a page: with less there would be more padding than content.
const WORTH_A_PAGE: u64 = 4 * PAGE;
/// From which size on an archive's files are mapped, as those of an image are.
const WORTH_MAPPING: u64 = 16 << 20;
/// Most files that are mapped: each takes up to two of the 65530 mappings that a process may have (`vm.max_map_count`).
const MOST_MAPPED: usize = 16_384;
/// What a kernel needs beside the files: its own code and data, and a page's descriptor for every 64 bytes of one.
const KERNEL: u64 = 40 << 20;
/// Memory for programs, where nobody says how much: the image's files are beside it.
const FOR_PROGRAMS: u64 = 128 << 20;

/// What kind of thing an entry is, in its mode.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMBOLIC_LINK: u32 = 0o120_000;
const FIFO: u32 = 0o010_000;

/// An archive can't be made.
#[derive(Debug, thiserror::Error)]
pub enum InitramfsError {
    /// A file for it can't be read.
    #[error("reading {} for the guest's file system", path.display())]
    Read {
        /// The file's path on the host.
        path: PathBuf,
        /// What the host answered.
        source: io::Error,
    },
    /// A file is too large for the format, or a name too long or not absolute.
    #[error("{} can't be in the guest's file system: its name must be absolute and short, its size below 4 GiB", .0.display())]
    Entry(PathBuf),
    /// It can't be written out.
    #[error("writing the guest's file system")]
    Write(#[source] io::Error),
}

/// Who a file belongs to, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permissions, with set-uid and the like.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Attributes {
    /// Of what everybody may read and run.
    pub const PUBLIC: Self = Self {
        mode: 0o755,
        uid: 0,
        gid: 0,
    };
}

/// Something in the guest's file system.
#[derive(Debug)]
pub enum Node<'n> {
    /// An empty directory.
    Directory,
    /// A file of the host's, which is opened only when it's written: there may be more than a process can hold open.
    File {
        /// Where it is.
        host: &'n Path,
        /// Its length.
        size: u64,
        /// Device and inode on the host: a second name of the same file becomes a hard link.
        identity: (u64, u64),
    },
    /// A symbolic link, and what it says.
    SymbolicLink(&'n OsStr),
    /// A named pipe.
    Fifo,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File {
        host: PathBuf,
        /// Open already, or opened when it's written.
        file: Option<File>,
        size: u64,
    },
    /// The same file as an entry further up: a hard link, which has no bytes of its own.
    Link,
}

#[derive(Debug)]
struct Entry {
    name: Vec<u8>,
    /// Bytes of the name with the zeros behind it.
    name_size: u64,
    mode: u32,
    uid: u32,
    gid: u32,
    inode: u32,
    content: Content,
}

/// What the guest finds at its start.
#[derive(Debug, Default)]
pub struct Initramfs {
    entries: Vec<Entry>,
    /// Bytes of the entries so far.
    end: u64,
    /// How many files begin on a page.
    mapped: usize,
    /// Pages that the files take in the guest.
    pages: u64,
    /// The inode of each file of the host's, by its device and inode there.
    known: HashMap<(u64, u64), u32>,
    /// How many names more than one a file has, by its inode.
    more_names: HashMap<u32, u32>,
}

impl Initramfs {
    /// Adds an empty directory.
    ///
    /// # Errors
    /// The name can't be.
    pub fn directory(&mut self, guest: &str) -> Result<(), InitramfsError> {
        self.node(guest.as_ref(), Attributes::PUBLIC, &Node::Directory)
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// The name can't be, or there are too many.
    pub fn bytes(&mut self, guest: &str, bytes: Vec<u8>) -> Result<(), InitramfsError> {
        let content = Content::Bytes(bytes);
        self.push(guest.as_ref(), REGULAR, Attributes::PUBLIC, content)
    }

    /// Adds a file of the host's, which everybody in the guest may read and run, with the directories it lies in.
    ///
    /// A file that is there already gets a second name, no second copy.
    ///
    /// # Errors
    /// It can't be opened, is no regular file, is too large, or the name can't be.
    pub fn file(&mut self, guest: &str, host: &Path) -> Result<(), InitramfsError> {
        let failed = |source| InitramfsError::Read {
            path: host.to_owned(),
            source,
        };
        let file = File::open(host).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(failed(io::Error::other("it is no regular file")));
        }
        for parent in parents(guest) {
            let is_there = |entry: &Entry| entry.name == parent.as_bytes();
            if !self.entries.iter().any(is_there) {
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

    /// Adds something, whose directory must be there already.
    ///
    /// # Errors
    /// The name or what a link says is too long, or a file too large.
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
            Node::SymbolicLink(says) => {
                let content = Content::Bytes(says.as_bytes().to_vec());
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

    /// Bytes of the archive.
    pub fn size(&self) -> u64 {
        self.end + padded(HEADER + TRAILER.len() as u64 + 1)
    }

    /// The least memory with which a guest can unpack it: the archive is there until all files are, and a root file system in
    /// memory (tmpfs) takes half of what is left at most, and for each file a page's worth.
    pub fn least_memory(&self) -> ByteSize {
        let files = 2 * PAGE * self.pages.max(self.entries.len() as u64);
        let held = self.size() + files + KERNEL;
        // A page's descriptor is a 64th of it.
        ByteSize((held + held / 64).next_multiple_of(1 << 20))
    }

    /// Memory for a guest in which programs have room, too.
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

    /// Writes the archive to a file, for a machine of another make.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn save(&self, mut to: &File) -> Result<(), InitramfsError> {
        self.write_to(&mut to)
    }

    /// How many names an entry's file has.
    fn names(&self, of: &Entry) -> u32 {
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

/// Bytes that the name of an entry at `start` takes, `least` or with as many zeros that `content` can be mapped, if that is of use.
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
