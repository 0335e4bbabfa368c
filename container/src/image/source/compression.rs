//! How layers are compressed, and decompressing them.
//!
//! Both decoders are pure Rust, because their input may come from anybody and an import may run as
//! root.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// The first bytes of data that gzip has compressed.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// The first bytes of data that zstd has compressed.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

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
}

impl Compression {
    /// How data are compressed that begin with `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        if bytes.starts_with(GZIP_MAGIC) {
            Self::Gzip
        } else if bytes.starts_with(ZSTD_MAGIC) {
            Self::Zstd
        } else {
            Self::None
        }
    }

    /// A reader of the decompressed content of `inner`.
    pub fn reader<'a>(self, inner: impl Read + 'a) -> Box<dyn Read + 'a> {
        match self {
            Self::None => Box::new(inner),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::new(inner))),
            Self::Zstd => Box::new(ZstdReader::new(BufReader::new(inner))),
        }
    }
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

    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn plain(compressed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Compression::of(compressed)
            .reader(compressed)
            .read_to_end(&mut bytes)?;
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
        assert_eq!(plain(b"as it is").unwrap(), b"as it is");
    }

    #[test]
    fn a_stream_that_is_cut_off_or_ends_in_garbage_is_refused() {
        let bytes = [7; 5000];
        for compressed in [gzip(&bytes), zstd(&bytes)] {
            assert!(plain(&compressed[..compressed.len() - 3]).is_err());
            assert!(plain(&[&compressed[..], b"garbage"].concat()).is_err());
        }
    }

    proptest! {
        #[test]
        fn a_spoilt_stream_is_read_or_refused(at: prop::sample::Index, byte: u8, zstandard: bool) {
            let bytes = [3_u8; 3000];
            let mut compressed = if zstandard { zstd(&bytes) } else { gzip(&bytes) };
            let at = at.index(compressed.len());
            compressed[at] = byte;
            let _ = plain(&compressed);
        }
    }
}
