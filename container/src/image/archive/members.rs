//! The members of a tar archive, one after the other, in bounded memory.
//!
//! Headers are those of the tar crate. The crate's own reader is not used, because it takes a name
//! of any length into memory, and because it splits extended headers at line ends, which values of
//! extended attributes may hold.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::pax;

/// Bytes of a block. A tar archive consists of whole blocks.
const BLOCK: usize = 512;
/// The longest extended header or long name that is taken, in bytes. The value of an attribute has
/// at most 64 KiB.
const MAX_EXTENSION: u64 = 1 << 20;
/// The prefix of extended attributes' names in extended headers.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
/// The prefix of the keys that extended headers have for sparse files.
const SPARSE: &[u8] = b"GNU.sparse.";

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
    /// The length of the content, in bytes.
    pub size: u64,
    /// The names and values of the extended attributes.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum ArchiveFault {
    #[error(transparent)]
    Read(#[from] io::Error),
    #[error("the archive is cut off")]
    CutOff,
    #[error("a header's checksum is wrong")]
    Checksum,
    #[error("a header's {field} is no number")]
    Number { field: &'static str },
    #[error("an extended header or a long name has more than 1 MiB")]
    ExtensionTooLong,
    #[error(transparent)]
    Pax(#[from] pax::PaxFault),
    #[error("{name:?} is a sparse file, which images should not have")]
    Sparse { name: String },
    #[error("{name:?} is of the unknown type {kind:?}")]
    Kind { name: String, kind: char },
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

/// What extended headers and long names say of the member that follows them.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extensions {
    /// The value of the last record with this key. Earlier records do not count.
    fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.records.iter().rev().find(|(k, _)| k == key.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    fn number(&self, field: &'static str) -> Result<Option<u64>, ArchiveFault> {
        let parse = |value| std::str::from_utf8(value).ok()?.parse().ok();
        self.get(field)
            .map(|value| parse(value).ok_or(ArchiveFault::Number { field }))
            .transpose()
    }

    fn attributes(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let named = |(key, value): &(Vec<u8>, Vec<u8>)| {
            Some((key.strip_prefix(ATTRIBUTE)?.to_vec(), value.clone()))
        };
        self.records.iter().filter_map(named).collect()
    }

    fn is_sparse(&self) -> bool {
        self.records.iter().any(|(key, _)| key.starts_with(SPARSE))
    }
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
        let name = extensions.get("path").map(<[u8]>::to_vec);
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
        if extensions.is_sparse() {
            return Err(ArchiveFault::Sparse { name: shown(&name) });
        }
        // Other members have no content, although their headers may say so. Other readers of tar
        // archives do the same.
        let size = match kind {
            MemberKind::File => field(header, extensions, "size")?,
            _ => 0,
        };
        self.content_is(size);
        Ok(Member {
            kind,
            link,
            // The bits above those of the permissions are the kind of file.
            mode: (number(header, "mode")? & 0o7777) as u32,
            uid: field(header, extensions, "uid")?,
            gid: field(header, extensions, "gid")?,
            mtime: mtime(header, extensions)?,
            size,
            attributes: extensions.attributes(),
            name,
        })
    }

    /// The next header; `None` at the archive's end.
    fn header(&mut self) -> Result<Option<Header>, ArchiveFault> {
        let skipped = self.unread + self.padding;
        let done = io::copy(&mut (&mut self.reader).take(skipped), &mut io::sink())?;
        if done < skipped {
            return Err(ArchiveFault::CutOff);
        }
        self.position += skipped;
        (self.unread, self.padding) = (0, 0);
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

/// A number of a member. An extended header may give it in place of the header.
fn field(
    header: &Header,
    extensions: &Extensions,
    field: &'static str,
) -> Result<u64, ArchiveFault> {
    match extensions.number(field)? {
        Some(number) => Ok(number),
        None => number(header, field),
    }
}

fn number(header: &Header, field: &'static str) -> Result<u64, ArchiveFault> {
    let old = header.as_old();
    let (bytes, number) = match field {
        "mode" => (&old.mode[..], header.mode().map(u64::from)),
        "uid" => (&old.uid[..], header.uid()),
        "gid" => (&old.gid[..], header.gid()),
        "mtime" => (&old.mtime[..], header.mtime()),
        _ => (&old.size[..], header.entry_size()),
    };
    // Some tools leave out what is zero.
    if bytes.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    number.map_err(|_| ArchiveFault::Number { field })
}

fn mtime(header: &Header, extensions: &Extensions) -> Result<(i64, u32), ArchiveFault> {
    const FAULT: ArchiveFault = ArchiveFault::Number { field: "mtime" };
    if let Some(value) = extensions.get("mtime") {
        return parse_time(value).ok_or(FAULT);
    }
    let seconds = number(header, "mtime")?;
    Ok((i64::try_from(seconds).map_err(|_| FAULT)?, 0))
}

/// Reads seconds with a fraction, such as `1700000000.25`: whole seconds, and nanoseconds after
/// them.
fn parse_time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    match digits.parse().ok()? {
        0 => Some((seconds, 0)),
        nanoseconds if text.starts_with('-') => {
            Some((seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds))
        }
        nanoseconds => Some((seconds, nanoseconds)),
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
