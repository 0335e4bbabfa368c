//! The members of a tar archive, one after the other, in bounded memory.
//!
//! Headers are the tar crate's. Its own reader isn't used because it takes a name of any length into memory, and splits
//! extended headers at line ends, of which values of extended attributes may hold some.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::pax;

/// A tar archive's unit, in bytes.
const BLOCK: usize = 512;
/// Longest extended header or long name that is taken; an attribute's value has at most 64 KiB.
const MAX_EXTENSION: u64 = 1 << 20;
/// What the names of extended attributes begin with in extended headers.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";
/// What the keys of sparse files begin with there.
const SPARSE: &[u8] = b"GNU.sparse.";

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file, with content.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, to [`Member::link`].
    SymbolicLink,
    /// One more name of the file [`Member::link`].
    HardLink,
    /// A named pipe.
    Fifo,
    /// A character or block device.
    Device,
}

/// One member, as the archive has it: nothing of it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// The name that a link leads to.
    pub link: Vec<u8>,
    /// Permissions.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Time of last change: seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of content.
    pub size: u64,
    /// Extended attributes: name and value.
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what it is")]
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

/// A name for a message.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(256).collect()
}

/// Reads an archive's members.
pub struct Members<R> {
    reader: R,
    position: u64,
    /// Content of the current member that hasn't been read.
    unread: u64,
    /// What fills its last block.
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
    /// The last record with this key: it counts.
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
    /// Reads the archive that `reader` gives.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            position: 0,
            unread: 0,
            padding: 0,
        }
    }

    /// Where in the archive the current member's content begins, as long as none of it has been read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The next member; whatever is left of the current one's content is skipped.
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
        // Other members have no content, whatever their headers say: so read those who wrote these archives.
        let size = match kind {
            MemberKind::File => field(header, extensions, "size")?,
            _ => 0,
        };
        self.content_is(size);
        Ok(Member {
            kind,
            link,
            // Bits above those of permissions say what kind of file it is.
            mode: (number(header, "mode")? & 0o7777) as u32,
            uid: field(header, extensions, "uid")?,
            gid: field(header, extensions, "gid")?,
            mtime: mtime(header, extensions)?,
            size,
            attributes: extensions.attributes(),
            name,
        })
    }

    /// The next header that isn't the archive's end.
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
        // The checksum is taken with eight spaces in its own place.
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

    /// Says how long the content is that begins here.
    fn content_is(&mut self, size: u64) {
        self.unread = size;
        // A size that doesn't fit is cut off before its end can matter.
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    /// The current member's content.
    pub fn content(&mut self) -> Content<'_, R> {
        Content { members: self }
    }
}

/// The content of a member; fails if the archive ends before it.
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

/// Fills `buffer` as far as the reader has something.
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
        // The oldest archives have no type for a directory.
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

/// A number that an extended header may give in place of the header.
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

/// Seconds with a fraction, like `1700000000.25`, in whole seconds and the nanoseconds after them.
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
