//! The members of a tar archive, one after the other, in bounded memory.
//!
//! Headers are those of the tar crate. The crate's own reader is not used, because it takes a name
//! of any length into memory, and because it splits extended headers at line ends, which values of
//! extended attributes may hold.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::fault::ArchiveFault;
use super::fields::{Extensions, field, mtime, number};
use super::pax;
use super::sparse::{self, Segment};

/// Bytes of a block. A tar archive consists of whole blocks.
const BLOCK: usize = 512;
/// The longest extended header or long name that is taken, in bytes. The value of an attribute has
/// at most 64 KiB.
const MAX_EXTENSION: u64 = 1 << 20;

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file, with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to [`Member::link`].
    SymbolicLink,
    /// One more name of the file [`Member::link`].
    HardLink,
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
}

/// One member, as the archive has it. Nothing in the member is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name of the member.
    pub name: Vec<u8>,
    /// What the member is.
    pub kind: MemberKind,
    /// The name that a link leads to.
    pub link: Vec<u8>,
    /// The permissions.
    pub mode: u32,
    /// The id of the owner.
    pub uid: u64,
    /// The id of the group.
    pub gid: u64,
    /// The time of the last change: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// The length of the file, in bytes.
    pub size: u64,
    /// Where the archive's content belongs in a sparse file, in order; the rest of the file is
    /// zeros. `None` if the content is the whole file.
    pub segments: Option<Vec<Segment>>,
    /// The names and values of the extended attributes.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A name for a message, which is cut if the name is long.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(256).collect()
}

/// A reader of an archive's members.
pub struct Members<R> {
    reader: R,
    /// How many bytes of the archive have been read.
    position: u64,
    /// Bytes of the current member's content that have not been read.
    unread: u64,
    /// Bytes that fill the last block of the current member's content.
    padding: u64,
}

impl<R: Read> Members<R> {
    /// A reader of the archive that `reader` gives.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
            unread: 0,
            padding: 0,
        }
    }

    /// Where in the archive the current member's content begins. This holds as long as no content
    /// has been read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next member. Content of the current member that has not been read is skipped.
    pub fn next(&mut self) -> Result<Option<Member>, ArchiveFault> {
        let mut extensions = Extensions::default();
        while let Some(header) = self.header()? {
            let known = header.as_ustar().is_some() || header.as_gnu().is_some();
            match header.entry_type() {
                EntryType::XGlobalHeader if known => self.content_is(number(&header, "size")?),
                EntryType::XHeader if known => {
                    let bytes = self.extension(&header)?;
                    let owned = |(key, value): (&[u8], &[u8])| (key.to_vec(), value.to_vec());
                    extensions.records = pax::records(&bytes)?.into_iter().map(owned).collect();
                }
                EntryType::GNULongName if known => {
                    extensions.name = Some(until_zero(self.extension(&header)?));
                }
                EntryType::GNULongLink if known => {
                    extensions.link = Some(until_zero(self.extension(&header)?));
                }
                _ => return self.member(&header, &extensions).map(Some),
            }
        }
        Ok(None)
    }

    fn member(&mut self, header: &Header, extensions: &Extensions) -> Result<Member, ArchiveFault> {
        let name = extensions.get("GNU.sparse.name");
        let name = name.or_else(|| extensions.get("path")).map(<[u8]>::to_vec);
        let name = name
            .or_else(|| extensions.name.clone())
            .unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extensions.get("linkpath").map(<[u8]>::to_vec);
        let link = link.or_else(|| extensions.link.clone());
        let link = link.unwrap_or_else(|| {
            header
                .link_name_bytes()
                .map_or_else(Vec::new, std::borrow::Cow::into_owned)
        });
        let kind = kind(header, &name)?;
        // Other members have no content, although their headers may say so. Other readers of tar
        // archives do the same.
        let packed = match kind {
            MemberKind::File => field(header, extensions, "size")?,
            _ => 0,
        };
        self.content_is(packed);
        let (size, segments) = match kind {
            MemberKind::File => self.segments(&name, extensions, packed)?,
            _ => (0, None),
        };
        Ok(Member {
            kind,
            link,
            // The bits above those of the permissions are the kind of file.
            mode: (number(header, "mode")? & 0o7777) as u32,
            uid: field(header, extensions, "uid")?,
            gid: field(header, extensions, "gid")?,
            mtime: mtime(header, extensions)?,
            size,
            segments,
            attributes: extensions.attributes(),
            name,
        })
    }

    /// The size of a file with `packed` bytes of content, and its segments if it is sparse.
    fn segments(
        &mut self,
        name: &[u8],
        extensions: &Extensions,
        packed: u64,
    ) -> Result<(u64, Option<Vec<Segment>>), ArchiveFault> {
        let Some(sparse) =
            sparse::of(&extensions.records).map_err(|fault| fault.of(shown(name)))?
        else {
            return Ok((packed, None));
        };
        let segments = match sparse.map {
            Some(map) => map,
            None => sparse::read_map(&mut self.content())?.ok_or_else(malformed(name))?,
        };
        if !sparse::fits(&segments, sparse.size, self.unread) {
            return Err(malformed(name)());
        }
        Ok((sparse.size, Some(segments)))
    }

    /// The next header; `None` at the archive's end.
    fn header(&mut self) -> Result<Option<Header>, ArchiveFault> {
        if self.skip(self.unread)? < self.unread {
            return Err(ArchiveFault::CutOff);
        }
        // `umoci insert` ends an archive with the last byte of the last content.
        match self.skip(self.padding)? {
            0 if self.padding > 0 => return Ok(None),
            done if done < self.padding => return Err(ArchiveFault::CutOff),
            _ => (self.unread, self.padding) = (0, 0),
        }
        let mut block = [0; BLOCK];
        match read_all(&mut self.reader, &mut block)? {
            0 => return Ok(None),
            count if count < block.len() => return Err(ArchiveFault::CutOff),
            _ => self.position += BLOCK as u64,
        }
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block);
        // For the sum, the eight bytes of the checksum itself count as spaces.
        let sum = |bytes: &[u8]| bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let sum = sum(&block[..148]) + 8 * u32::from(b' ') + sum(&block[156..]);
        if header.cksum().ok() != Some(sum) {
            return Err(ArchiveFault::Checksum);
        }
        Ok(Some(header.clone()))
    }

    /// Skips up to `count` bytes, and tells how many there were.
    fn skip(&mut self, count: u64) -> Result<u64, ArchiveFault> {
        let skipped = io::copy(&mut (&mut self.reader).take(count), &mut io::sink())?;
        self.position += skipped;
        Ok(skipped)
    }

    /// The content of an extended header or a long name.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, ArchiveFault> {
        let size = number(header, "size")?;
        if size > MAX_EXTENSION {
            return Err(ArchiveFault::ExtensionTooLong);
        }
        self.content_is(size);
        let mut bytes = Vec::new();
        self.content().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Notes that a content of `size` bytes begins here.
    fn content_is(&mut self, size: u64) {
        self.unread = size;
        // The sum of both may overflow for an absurd size, whose content ends long before.
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// A reader of the current member's content.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { members: self }
    }
}

/// A reader of a member's content. Reading fails if the archive ends before the content.
pub struct Content<'a, R> {
    members: &'a mut Members<R>,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let members = &mut *self.members;
        let wanted = usize::try_from(members.unread).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        let count = members.reader.read(&mut buffer[..wanted])?;
        if count == 0 && wanted > 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the archive is cut off",
            ));
        }
        members.unread -= count as u64;
        members.position += count as u64;
        Ok(count)
    }
}

/// Fills `buffer` as far as the reader has bytes, and tells how many there were.
fn read_all(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn malformed(name: &[u8]) -> impl Fn() -> ArchiveFault {
    move || ArchiveFault::SparseMap { name: shown(name) }
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0);
    bytes.truncate(end.unwrap_or(bytes.len()));
    bytes
}

fn kind(header: &Header, name: &[u8]) -> Result<MemberKind, ArchiveFault> {
    match header.entry_type() {
        // The oldest archives have no type of their own for a directory.
        EntryType::Regular if name.ends_with(b"/") => Ok(MemberKind::Directory),
        EntryType::Regular | EntryType::Continuous => Ok(MemberKind::File),
        EntryType::Directory => Ok(MemberKind::Directory),
        EntryType::Symlink => Ok(MemberKind::SymbolicLink),
        EntryType::Link => Ok(MemberKind::HardLink),
        EntryType::Fifo => Ok(MemberKind::Fifo),
        EntryType::Char | EntryType::Block => Ok(MemberKind::Device),
        EntryType::GNUSparse => Err(ArchiveFault::Sparse { name: shown(name) }),
        other => Err(ArchiveFault::Kind {
            name: shown(name),
            kind: char::from(other.as_byte()),
        }),
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
