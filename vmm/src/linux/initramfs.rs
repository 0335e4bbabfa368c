//! The guest's first file system: a cpio archive in the "newc" format (Documentation/driver-api/early-userspace/buffer-format.rst),
//! which the kernel unpacks into memory.
//!
//! The archive is never in the VMM's own memory: headers and files go straight to where the guest finds them. The content of a
//! file of some size begins on a page, so that it can be mapped there: the zeros behind its name are as many as that takes.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::mapped_file::MappedFile;
use super::memory::Memory;
use crate::memory::PAGE;
use vm_memory::{Bytes as _, GuestAddress};

/// Bytes of a header in front of the name.
const HEADER: u64 = 110;
/// The longest name with its zeros that a kernel takes (`PATH_MAX`).
const LONGEST_NAME: u64 = 4096;
/// From which size on a file begins on a page: with less there would be more padding than content.
const WORTH_A_PAGE: u64 = 4 * PAGE;
/// The name of the entry that ends an archive.
const TRAILER: &str = "TRAILER!!!";

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

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

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File {
        host: PathBuf,
        file: File,
        size: u64,
    },
    /// The same file as an entry further up: a hard link, which has no bytes of its own.
    Link,
}

#[derive(Debug)]
struct Entry {
    name: String,
    /// Bytes of the name with the zeros behind it.
    name_size: u64,
    mode: u32,
    inode: u32,
    content: Content,
}

/// What the guest finds at its start.
#[derive(Debug, Default)]
pub struct Initramfs {
    entries: Vec<Entry>,
}

impl Initramfs {
    /// Adds an empty directory.
    ///
    /// # Errors
    /// The name can't be.
    pub fn directory(&mut self, guest: &str) -> Result<(), InitramfsError> {
        self.push(guest, DIRECTORY, Content::Bytes(Vec::new()))
    }

    /// Adds a file with these bytes.
    ///
    /// # Errors
    /// The name can't be, or there are too many.
    pub fn bytes(&mut self, guest: &str, bytes: Vec<u8>) -> Result<(), InitramfsError> {
        self.push(guest, PROGRAM, Content::Bytes(bytes))
    }

    /// Adds a file of the host's, which everybody in the guest may read and run, with the directories it lies in.
    ///
    /// A file that is there already gets a second name, no second copy.
    ///
    /// # Errors
    /// It can't be opened, is no regular file, is too large, or the name can't be.
    ///
    /// # Panics
    /// Never: an entry that was pushed is there.
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
        let same = |entry: &&Entry| match &entry.content {
            Content::File { file, .. } => file
                .metadata()
                .is_ok_and(|other| (other.dev(), other.ino()) == (metadata.dev(), metadata.ino())),
            _ => false,
        };
        let linked = self.entries.iter().find(same).map(|entry| entry.inode);
        for parent in parents(guest) {
            if !self.entries.iter().any(|entry| entry.name == parent) {
                self.push(&format!("/{parent}"), DIRECTORY, Content::Bytes(Vec::new()))?;
            }
        }
        if let Some(inode) = linked {
            self.push(guest, PROGRAM, Content::Link)?;
            self.entries.last_mut().expect("just pushed").inode = inode;
            return Ok(());
        }
        let content = Content::File {
            host: host.to_owned(),
            file,
            size: metadata.len(),
        };
        self.push(guest, PROGRAM, content)
    }

    fn push(&mut self, guest: &str, mode: u32, content: Content) -> Result<(), InitramfsError> {
        let refused = || InitramfsError::Entry(guest.into());
        let name = guest.strip_prefix('/').ok_or_else(refused)?.to_owned();
        let fits = u32::try_from(content.size()).is_ok() && (name.len() as u64) < PAGE;
        if !fits || name.is_empty() || name.contains('\0') {
            return Err(refused());
        }
        let inode = u32::try_from(self.entries.len() + 1).map_err(|_| refused())?;
        self.entries.push(Entry {
            name_size: name_size(&name, &content, self.end()),
            name,
            mode,
            inode,
            content,
        });
        Ok(())
    }

    /// Bytes of the archive.
    pub fn size(&self) -> u64 {
        self.end() + padded(HEADER + TRAILER.len() as u64 + 1)
    }

    /// Bytes of the entries so far.
    fn end(&self) -> u64 {
        self.entries.iter().map(Entry::size).sum()
    }

    /// Writes the archive into guest memory, and gives the address behind it.
    ///
    /// # Errors
    /// A file can't be read, or the archive leaves guest memory.
    pub fn load(&self, memory: &Memory, at: u64) -> Result<(), InitramfsError> {
        self.write_to(&mut Window { memory, at })
    }

    /// Writes the archive to a file, for a machine of another make.
    ///
    /// # Errors
    /// A file can't be read or written.
    pub fn save(&self, mut to: &File) -> Result<(), InitramfsError> {
        self.write_to(&mut to)
    }

    fn write_to(&self, sink: &mut impl Sink) -> Result<(), InitramfsError> {
        for entry in &self.entries {
            let size = entry.content.size();
            put(sink, &header(entry, self.links(entry)))?;
            match &entry.content {
                Content::Bytes(bytes) => put(sink, bytes)?,
                Content::Link => {}
                Content::File { host, file, size } => {
                    sink.file(file, *size)
                        .map_err(|source| InitramfsError::Read {
                            path: host.clone(),
                            source,
                        })?;
                }
            }
            put(sink, &[0; 4][..index(padded(size) - size)])?;
        }
        let trailer = Entry {
            name: TRAILER.to_owned(),
            name_size: TRAILER.len() as u64 + 1,
            mode: 0,
            inode: 0,
            content: Content::Link,
        };
        put(sink, &header(&trailer, 1))
    }

    /// How many names an entry's file has.
    fn links(&self, of: &Entry) -> usize {
        let same = |entry: &&Entry| entry.inode == of.inode;
        self.entries.iter().filter(same).count()
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

/// Where an archive goes to.
trait Sink {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn file(&mut self, file: &File, size: u64) -> io::Result<()>;
}

fn put(sink: &mut impl Sink, bytes: &[u8]) -> Result<(), InitramfsError> {
    sink.bytes(bytes).map_err(InitramfsError::Write)
}

/// Guest memory from an address on.
struct Window<'m> {
    memory: &'m Memory,
    at: u64,
}

impl Sink for Window<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory
            .write_slice(bytes, GuestAddress(self.at))
            .map_err(io::Error::other)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn file(&mut self, file: &File, size: u64) -> io::Result<()> {
        let mut file = MappedFile::new(file, self.memory)?;
        io::Seek::rewind(&mut file)?;
        self.memory
            .read_exact_volatile_from(GuestAddress(self.at), &mut file, index(size))
            .map_err(io::Error::other)?;
        self.at += size;
        Ok(())
    }
}

impl Sink for &File {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)
    }

    fn file(&mut self, mut file: &File, size: u64) -> io::Result<()> {
        io::Seek::rewind(&mut file)?;
        let copied = io::copy(&mut io::Read::take(file, size), self)?;
        if copied == size {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// One entry's header with its name. All files belong to root, and have neither a time nor a device.
fn header(entry: &Entry, links: usize) -> Vec<u8> {
    let Entry {
        name,
        name_size,
        mode,
        inode,
        ..
    } = entry;
    let size = entry.content.size();
    let mut header = format!(
        "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{links:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name_size:08x}{0:08x}{name}",
        0
    )
    .into_bytes();
    header.resize(index(padded(HEADER + name_size)), 0);
    header
}

/// Bytes that the name of an entry at `start` takes: with as many zeros that its content can be mapped, if that is of use.
fn name_size(name: &str, content: &Content, start: u64) -> u64 {
    let least = name.len() as u64 + 1;
    let content_at = start + HEADER + least;
    let aligned = least + content_at.next_multiple_of(PAGE) - content_at;
    let is_worth_it = matches!(content, Content::File { size, .. } if *size >= WORTH_A_PAGE);
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

const fn padded(length: u64) -> u64 {
    length.next_multiple_of(4)
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a 64-bit host")
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytesize::ByteSize;
    use std::process::{Command, Stdio};

    use crate::linux::memory::map;

    fn example() -> (tempfile::NamedTempFile, Initramfs) {
        let program = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(program.path(), b"12345").unwrap();
        let mut archive = Initramfs::default();
        archive.directory("/proc").unwrap();
        archive.file("/a/deep/program", program.path()).unwrap();
        archive.bytes("/empty", Vec::new()).unwrap();
        (program, archive)
    }

    #[test]
    fn the_archive_is_as_long_as_it_says_in_memory_and_on_disk() {
        let (_program, archive) = example();
        let stored = tempfile::tempfile().unwrap();
        archive.save(&stored).unwrap();
        let size = stored.metadata().unwrap().len();
        assert_eq!(size, archive.size());

        let memory = map(ByteSize::mib(16)).unwrap();
        archive.load(&memory, 0x1000).unwrap();
        let mut loaded = vec![0; index(size)];
        memory
            .read_slice(&mut loaded, GuestAddress(0x1000))
            .unwrap();
        let mut saved = vec![0; index(size)];
        std::os::unix::fs::FileExt::read_exact_at(&stored, &mut saved, 0).unwrap();
        assert_eq!(loaded, saved);
        assert!(archive.load(&memory, (16 << 20) - size + 1).is_err());
    }

    #[test]
    fn cpio_lists_what_was_put_in() {
        let (_program, archive) = example();
        let stored = tempfile::NamedTempFile::new().unwrap();
        archive.save(stored.as_file()).unwrap();
        let listed = Command::new("cpio")
            .args(["-it", "--quiet"])
            .stdin(Stdio::from(File::open(stored.path()).unwrap()))
            .output();
        let Ok(listed) = listed else {
            println!("skipped: cpio is not installed");
            return;
        };
        let names = String::from_utf8(listed.stdout).unwrap();
        assert_eq!(names, "proc\na\na/deep\na/deep/program\nempty\n");
        assert!(listed.status.success());
    }

    #[test]
    fn a_file_of_some_size_begins_on_a_page() {
        let (_small, mut archive) = example();
        let program = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(program.path(), vec![0x5a; 20_000]).unwrap();
        archive.file("/large", program.path()).unwrap();
        let stored = tempfile::tempfile().unwrap();
        archive.save(&stored).unwrap();
        let mut saved = vec![0; index(archive.size())];
        std::os::unix::fs::FileExt::read_exact_at(&stored, &mut saved, 0).unwrap();
        let content = saved.iter().position(|&byte| byte == 0x5a).unwrap();
        assert_eq!(content % index(PAGE), 0);
        assert!(saved[content..][..20_000].iter().all(|&byte| byte == 0x5a));
    }

    #[test]
    fn no_name_is_longer_than_a_kernel_takes() {
        let content = |size| Content::File {
            host: PathBuf::new(),
            file: tempfile::tempfile().unwrap(),
            size,
        };
        for start in (0..PAGE).step_by(4) {
            let taken = name_size("init", &content(WORTH_A_PAGE), start);
            let is_aligned = (start + HEADER + taken).is_multiple_of(PAGE);
            assert!(
                taken <= LONGEST_NAME && (is_aligned || taken == 5),
                "{start}: {taken}"
            );
        }
        assert_eq!(name_size("init", &content(WORTH_A_PAGE - 1), 0), 5);
    }

    #[test]
    fn a_file_with_two_names_is_there_once() {
        let (program, mut archive) = example();
        let before = archive.size();
        archive.file("/b/again", program.path()).unwrap();
        let headers = padded(HEADER + 2) + padded(HEADER + 8);
        assert_eq!(archive.size(), before + headers);
        let entries = &archive.entries;
        let (first, second) = (&entries[3], entries.last().unwrap());
        assert_eq!(first.inode, second.inode);
        assert_eq!((archive.links(first), archive.links(second)), (2, 2));
        assert_eq!(&header(second, 2)[38..46], b"00000002");
    }

    #[test]
    fn a_name_that_cannot_be_is_refused() {
        let mut archive = Initramfs::default();
        for name in ["", "/", "relative", "/nul\0"] {
            assert!(archive.directory(name).is_err(), "{name:?}");
        }
        assert!(archive.file("/x", Path::new("/nonexistent")).is_err());
        assert!(archive.file("/x", Path::new("/")).is_err());
    }
}
