//! How layers are compressed, and decompressing them.
//!
//! All decoders are Rust, because their input may come from anybody and an import may run as root.
//! Each needs bounded memory.

use std::io::{self, BufRead, BufReader, Read};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The first bytes of data that gzip has compressed.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// The first bytes of data that zstd has compressed.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of data that xz has compressed.
const XZ_MAGIC: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
/// The first bytes of data that bzip2 has compressed: before a digit, and after it.
const BZIP2_MAGIC: (&[u8], &[u8]) = (b"BZh", &[0x31, 0x41, 0x59, 0x26, 0x53, 0x59]);
/// The bytes that tell how data are compressed.
const MAGIC_BYTES: u64 = 10;

/// How many compressed bytes are read at a time.
const BUFFER: usize = 64 * 1024;
/// The most memory that xz takes, in KiB: what its highest preset needs.
const XZ_KIB: u32 = 80 * 1024;
/// How many bytes zstd decodes at a time.
const CHUNK: usize = 256 * 1024;

/// How data are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip (RFC 1952).
    Gzip,
    /// By zstd (RFC 8878).
    Zstd,
    /// By xz.
    Xz,
    /// By bzip2.
    Bzip2,
}

impl Compression {
    /// How data are compressed that begin with `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(GZIP_MAGIC) {
            Self::Gzip
        } else if bytes.starts_with(ZSTD_MAGIC) || is_skippable(bytes) {
            Self::Zstd
        } else if bytes.starts_with(XZ_MAGIC) {
            Self::Xz
        } else if is_bzip2(bytes) {
            Self::Bzip2
        } else {
            Self::None
        }
    }

    /// Reads the first bytes of `inner`, and tells how they say that the rest is compressed.
    pub fn of_start(inner: &mut impl Read) -> io::Result<(Self, Vec<u8>)> {
        let mut start = Vec::new();
        inner.by_ref().take(MAGIC_BYTES).read_to_end(&mut start)?;
        Ok((Self::of(&start), start))
    }

    /// A reader of the decompressed content of `inner`.
    fn reader<'a>(self, inner: impl Read + 'a) -> Box<dyn Read + 'a> {
        let inner = BufReader::with_capacity(BUFFER, inner);
        match self {
            Self::None => Box::new(inner),
            Self::Gzip => Box::new(MultiGzDecoder::new(inner)),
            Self::Zstd => Box::new(ZstdReader::new(inner)),
            Self::Xz => Box::new(XzReader::new_mem_limit(inner, true, XZ_KIB)),
            Self::Bzip2 => Box::new(MultiBzDecoder::new(inner)),
        }
    }
}

/// A reader of the decompressed content of `inner`. The first bytes tell how the content is
/// compressed.
pub fn decompressed<'a>(mut inner: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let (compression, start) = Compression::of_start(&mut inner)?;
    Ok(compression.reader(io::Cursor::new(start).chain(inner)))
}

/// Whether data begin as bzip2's do. The first letters alone may be a name in a tar archive.
fn is_bzip2(bytes: &[u8]) -> bool {
    let rest = bytes.strip_prefix(BZIP2_MAGIC.0);
    rest.is_some_and(|rest| rest.get(1..) == Some(BZIP2_MAGIC.1))
}

/// Whether data begin with a skippable frame of zstd, whose number is one of sixteen.
fn is_skippable(bytes: &[u8]) -> bool {
    matches!(bytes, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// A reader of all frames of a zstd stream, one after the other. ruzstd's own reader ends with the
/// first frame, and some tools write many, with skippable ones between. ruzstd refuses windows
/// above 128 MiB, which bounds its memory.
struct ZstdReader<R> {
    source: R,
    decoder: FrameDecoder,
    /// Whether the decoder is in the middle of a frame, or at its end.
    in_frame: bool,
}

impl<R: BufRead> ZstdReader<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            decoder: FrameDecoder::new(),
            in_frame: false,
        }
    }

    /// Goes to the next frame with data, and tells whether there is one.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    let mut skipped = (&mut self.source).take(length);
                    if io::copy(&mut skipped, &mut io::sink())? < length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for ZstdReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            if self.in_frame && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBytes(CHUNK))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            } else {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bzip2::write::BzEncoder;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn plain(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        decompressed(compressed)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn bzip2(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// `text`, compressed by xz 5.4.
    const XZ: &[u8] = include_bytes!("text.xz");

    #[test]
    fn all_frames_of_a_stream_are_read() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 1000 % 251) as u8).collect();
        assert_eq!(plain(&gzip(&bytes)).unwrap(), bytes);
        assert_eq!(
            plain(&[gzip(&bytes), gzip(b"x")].concat()).unwrap(),
            [&bytes[..], b"x"].concat()
        );
        assert_eq!(plain(&zstd(&bytes)).unwrap(), bytes);
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let many = [&zstd(&bytes)[..], &skippable, &zstd(b"x"), &skippable].concat();
        assert_eq!(plain(&many).unwrap(), [&bytes[..], b"x"].concat());
        let first = [&skippable[..], &zstd(&bytes)].concat();
        assert_eq!(plain(&first).unwrap(), bytes);
        assert_eq!(plain(&bzip2(&bytes)).unwrap(), bytes);
        let many = [bzip2(&bytes), bzip2(b"x")].concat();
        assert_eq!(plain(&many).unwrap(), [&bytes[..], b"x"].concat());
        assert_eq!(plain(XZ).unwrap(), b"text\n");
        assert_eq!(plain(&[XZ, XZ].concat()).unwrap(), b"text\ntext\n");
        assert_eq!(plain(b"as it is").unwrap(), b"as it is");
        assert_eq!(plain(b"").unwrap(), b"");
    }

    #[test]
    fn a_stream_that_is_cut_off_or_ends_in_garbage_is_refused() {
        let bytes = [7; 5000];
        for compressed in [gzip(&bytes), zstd(&bytes), bzip2(&bytes), XZ.to_vec()] {
            assert!(plain(&compressed[..compressed.len() - 3]).is_err());
            assert!(plain(&[&compressed[..], b"garbage"].concat()).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_spoilt_stream_is_read_or_refused(at: prop::sample::Index, byte: u8, form in 0..4) {
            let bytes = [3_u8; 3000];
            let mut compressed = match form {
                0 => zstd(&bytes),
                1 => gzip(&bytes),
                2 => bzip2(&bytes),
                _ => XZ.to_vec(),
            };
            let at = at.index(compressed.len());
            compressed[at] = byte;
            let _ = plain(&compressed);
        }
    }
}
