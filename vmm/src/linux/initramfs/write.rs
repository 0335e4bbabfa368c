//! Writes the archive's bytes, into guest memory or into a file.

use std::fs::File;
use std::io;

use vm_memory::{Bytes as _, GuestAddress};

use super::{Content, Entry, Initramfs, InitramfsError};
use crate::linux::mapped_file::MappedFile;
use crate::linux::sparse_file::SparseFile;
use crate::memory::Memory;

/// The bytes of a header before the name.
pub(super) const HEADER: u64 = 110;
/// The name of the entry that ends an archive. For a kernel, an entry with this name always does.
pub(super) const TRAILER: &str = "TRAILER!!!";

impl Initramfs {
    pub(super) fn write_to(&self, sink: &mut impl Sink) -> Result<(), InitramfsError> {
        for entry in &self.entries {
            let size = entry.content.size();
            put(sink, &header(entry, self.name_count(entry)))?;
            match &entry.content {
                Content::Bytes(bytes) => put(sink, bytes)?,
                Content::Link => {}
                Content::File { host, file, size } => {
                    let written = match file {
                        Some(file) => sink.file(file, *size),
                        None => File::open(host).and_then(|file| sink.file(&file, *size)),
                    };
                    written.map_err(|source| InitramfsError::Read {
                        path: host.clone(),
                        source,
                    })?;
                }
            }
            put(sink, &[0; 4][..index(padded(size) - size)])?;
        }
        let trailer = Entry {
            name: TRAILER.into(),
            name_size: TRAILER.len() as u64 + 1,
            mode: 0,
            uid: 0,
            gid: 0,
            inode: 0,
            content: Content::Link,
        };
        put(sink, &header(&trailer, 1))
    }
}

/// A destination of the archive.
pub(super) trait Sink {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn file(&mut self, file: &File, size: u64) -> io::Result<()>;
}

fn put(sink: &mut impl Sink, bytes: &[u8]) -> Result<(), InitramfsError> {
    sink.bytes(bytes).map_err(InitramfsError::Write)
}

/// Guest memory from an address on.
pub(super) struct Window<'m> {
    /// Guest memory.
    pub(super) memory: &'m Memory,
    /// The guest physical address of the next byte.
    pub(super) at: u64,
    /// Whether pages of files are mapped if possible, and not copied.
    pub(super) maps: bool,
}

impl Sink for Window<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.memory
            .write_slice(bytes, GuestAddress(self.at))
            .map_err(io::Error::other)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn file(&mut self, mut file: &File, size: u64) -> io::Result<()> {
        io::Seek::rewind(&mut file)?;
        let (memory, at, length) = (self.memory, GuestAddress(self.at), index(size));
        let read = if self.maps {
            memory.read_exact_volatile_from(at, &mut MappedFile::new(file, memory)?, length)
        } else {
            memory.read_exact_volatile_from(at, &mut SparseFile(file), length)
        };
        read.map_err(io::Error::other)?;
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

/// One entry's header with its name. The fields for times and devices are zero.
pub(super) fn header(entry: &Entry, links: u32) -> Vec<u8> {
    let Entry {
        name,
        name_size,
        mode,
        uid,
        gid,
        inode,
        ..
    } = entry;
    let size = entry.content.size();
    let mut header = format!(
        "070701{inode:08x}{mode:08x}{uid:08x}{gid:08x}{links:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{name_size:08x}{0:08x}",
        0
    )
    .into_bytes();
    header.extend_from_slice(name);
    header.resize(index(padded(HEADER + name_size)), 0);
    header
}

pub(super) const fn padded(length: u64) -> u64 {
    length.next_multiple_of(4)
}

pub(super) fn index(value: u64) -> usize {
    usize::try_from(value).expect("a 64-bit host")
}
