//! Sparse files in extended headers: GNU tar's formats 0.0, 0.1 and 1.0 ("Storing Sparse Files" in
//! its manual), which Go's archive/tar reads too. An extended header gives the size of the file, and
//! which segments of the file the archive holds; 1.0 has the segments at the beginning of the
//! content.

use std::io::{self, Read};

use super::fault::ArchiveFault;
use super::fields::Record;

/// Bytes of a block. A map in the content fills whole blocks.
const BLOCK: usize = 512;
/// The most segments that are taken. An extended header holds fewer.
const MAX_SEGMENTS: usize = 100_000;

/// A part of a sparse file that the archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where the part begins in the file.
    pub offset: u64,
    /// Bytes of the part.
    pub length: u64,
}

/// What an extended header says of a sparse file.
#[derive(Debug, PartialEq, Eq)]
pub struct Sparse {
    /// Bytes of the file.
    pub size: u64,
    /// The segments; `None` if the content begins with them.
    pub map: Option<Vec<Segment>>,
}

/// What is wrong with the description of a sparse file.
#[derive(Debug, PartialEq, Eq)]
pub enum SparseFault {
    /// The description is malformed.
    Malformed,
    /// The format has an unknown version.
    Version(String),
}

impl SparseFault {
    /// The fault of the file `name`.
    pub fn of(self, name: String) -> ArchiveFault {
        match self {
            Self::Malformed => ArchiveFault::SparseMap { name },
            Self::Version(version) => ArchiveFault::SparseVersion { name, version },
        }
    }
}

/// What the records of an extended header say of a sparse file; `None` if the file is not sparse.
pub fn of(records: &[Record]) -> Result<Option<Sparse>, SparseFault> {
    let last = |key: &[u8]| records.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v);
    let text = |key: &[u8]| last(key).map(|value| String::from_utf8_lossy(value).into_owned());
    let (major, minor) = (text(b"GNU.sparse.major"), text(b"GNU.sparse.minor"));
    let size = last(b"GNU.sparse.realsize").or(last(b"GNU.sparse.size"));
    let size = size.map(|value| number(value).ok_or(SparseFault::Malformed));
    let map = match (major.as_deref(), minor.as_deref()) {
        (Some("1"), Some("0")) => None,
        (None | Some("0"), None | Some("0" | "1")) => match last(b"GNU.sparse.map") {
            Some(map) => Some(in_one_record(map)?),
            None if last(b"GNU.sparse.numblocks").is_some() => Some(in_many_records(records)?),
            None => return Ok(None),
        },
        (major, minor) => {
            let version = [major, minor].map(Option::unwrap_or_default).join(".");
            return Err(SparseFault::Version(version));
        }
    };
    let size = size.ok_or(SparseFault::Malformed)??;
    Ok(Some(Sparse { size, map }))
}

/// The segments of format 0.1: `OFFSET,LENGTH,OFFSET,LENGTH...`.
fn in_one_record(map: &[u8]) -> Result<Vec<Segment>, SparseFault> {
    let numbers = map.split(|byte| *byte == b',').map(number);
    let numbers: Option<Vec<u64>> = numbers.collect();
    pairs(&numbers.ok_or(SparseFault::Malformed)?)
}

/// The segments of format 0.0: a record for each offset, followed by one for the length.
fn in_many_records(records: &[Record]) -> Result<Vec<Segment>, SparseFault> {
    let mut numbers = Vec::new();
    for (key, value) in records {
        let expected = match key.as_slice() {
            b"GNU.sparse.offset" => 0,
            b"GNU.sparse.numbytes" => 1,
            _ => continue,
        };
        if numbers.len() % 2 != expected {
            return Err(SparseFault::Malformed);
        }
        numbers.push(number(value).ok_or(SparseFault::Malformed)?);
    }
    pairs(&numbers)
}

fn pairs(numbers: &[u64]) -> Result<Vec<Segment>, SparseFault> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(SparseFault::Malformed);
    }
    let segment = |&[offset, length]: &[u64; 2]| Segment { offset, length };
    Ok(pairs.iter().map(segment).collect())
}

/// The segments of format 1.0, with which `content` begins: their number, then the offset and the
/// length of each, a line for each number. `None` if there are no such lines.
pub fn read_map(content: &mut impl Read) -> io::Result<Option<Vec<Segment>>> {
    let mut lines = Lines {
        content,
        block: [0; BLOCK],
        used: BLOCK,
    };
    let Some(count) = lines.number()? else {
        return Ok(None);
    };
    let Some(count) = usize::try_from(count).ok().filter(|n| *n <= MAX_SEGMENTS) else {
        return Ok(None);
    };
    let mut segments = Vec::new();
    for _ in 0..count {
        let (Some(offset), Some(length)) = (lines.number()?, lines.number()?) else {
            return Ok(None);
        };
        segments.push(Segment { offset, length });
    }
    Ok(Some(segments))
}

/// Lines of numbers in whole blocks.
struct Lines<'r, R> {
    content: &'r mut R,
    block: [u8; BLOCK],
    /// Bytes of the block that have been read.
    used: usize,
}

impl<R: Read> Lines<'_, R> {
    /// The number in the next line; `None` if there is none.
    fn number(&mut self) -> io::Result<Option<u64>> {
        let mut line = Vec::new();
        loop {
            if self.used == BLOCK {
                self.content.read_exact(&mut self.block)?;
                self.used = 0;
            }
            let byte = self.block[self.used];
            self.used += 1;
            match byte {
                b'\n' => return Ok(number(&line)),
                // No number has more digits.
                _ if line.len() == 20 => return Ok(None),
                _ => line.push(byte),
            }
        }
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the segments are in order in a file of `size` bytes, and have `packed` bytes together.
pub fn fits(segments: &[Segment], size: u64, packed: u64) -> bool {
    let mut end = 0;
    let mut sum = 0_u64;
    for segment in segments {
        let Some(next) = segment.offset.checked_add(segment.length) else {
            return false;
        };
        if segment.offset < end || next > size {
            return false;
        }
        end = next;
        // No sum is larger than the file.
        sum += segment.length;
    }
    sum == packed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn records(pairs: &[(&str, &str)]) -> Vec<Record> {
        let record = |(key, value): &(&str, &str)| {
            (
                format!("GNU.sparse.{key}").into_bytes(),
                value.as_bytes().to_vec(),
            )
        };
        pairs.iter().map(record).collect()
    }

    #[test]
    fn the_three_formats_are_read() {
        let segments = vec![
            Segment {
                offset: 2,
                length: 3,
            },
            Segment {
                offset: 9,
                length: 0,
            },
        ];
        let separate = records(&[
            ("size", "9"),
            ("numblocks", "2"),
            ("offset", "2"),
            ("numbytes", "3"),
            ("offset", "9"),
            ("numbytes", "0"),
        ]);
        let map = Some(segments.clone());
        assert_eq!(
            of(&separate),
            Ok(Some(Sparse {
                size: 9,
                map: map.clone()
            }))
        );
        let one = records(&[("size", "9"), ("numblocks", "2"), ("map", "2,3,9,0")]);
        assert_eq!(of(&one), Ok(Some(Sparse { size: 9, map })));
        let content = records(&[("major", "1"), ("minor", "0"), ("realsize", "9")]);
        assert_eq!(of(&content), Ok(Some(Sparse { size: 9, map: None })));
        let mut block = b"2\n2\n3\n9\n0\n".to_vec();
        block.resize(512, 0);
        let mut reader = &[&block[..], b"abc"].concat()[..];
        assert_eq!(read_map(&mut reader).unwrap(), Some(segments.clone()));
        assert_eq!(reader, b"abc");
        assert!(fits(&segments, 9, 3));
    }

    #[test]
    fn a_file_without_a_map_is_not_sparse() {
        assert_eq!(of(&records(&[("name", "a")])), Ok(None));
        assert_eq!(of(&[]), Ok(None));
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for pairs in [
            &[("size", "9"), ("map", "2")][..],
            &[("size", "9"), ("map", "2,x")],
            &[("size", "x"), ("map", "2,3")],
            &[("map", "2,3")],
            &[("major", "1"), ("minor", "0")],
            &[("size", "9"), ("numblocks", "1"), ("numbytes", "2")],
        ] {
            assert_eq!(
                of(&records(pairs)),
                Err(SparseFault::Malformed),
                "{pairs:?}"
            );
        }
        let newer = records(&[("major", "2"), ("minor", "0"), ("realsize", "9")]);
        assert_eq!(of(&newer), Err(SparseFault::Version("2.0".into())));
        let segment = |offset, length| Segment { offset, length };
        for (segments, size, packed) in [
            (&[segment(2, 3), segment(4, 1)][..], 9, 4),
            (&[segment(2, 3)], 4, 3),
            (&[segment(2, 3)], 9, 2),
            (&[segment(u64::MAX, 3)], u64::MAX, 3),
        ] {
            assert!(!fits(segments, size, packed), "{segments:?}");
        }
    }

    proptest! {
        #[test]
        fn any_map_is_read_or_refused(map in "[0-9,\n]{0,40}", bytes: Vec<u8>) {
            let _ = of(&records(&[("size", "9"), ("map", &map)]));
            let _ = read_map(&mut [map.as_bytes(), &bytes].concat().as_slice());
        }
    }
}
