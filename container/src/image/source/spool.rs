//! An archive that can't be read in any order, because it is compressed or comes through a pipe. It
//! is copied to a file first.

use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::path::Path;

use super::compression::decompressed;
use crate::image::error::ImageError;
use crate::image::layer::meter::{Meter, MeteredReader};

/// Copies what `packed` gives, decompressed, to `scratch`, as far as `meter` allows. `path` is where
/// the archive comes from.
pub fn copy(
    packed: impl Read,
    mut scratch: File,
    meter: Meter,
    path: &Path,
) -> Result<File, ImageError> {
    let failed = |source: io::Error| match source.get_ref().and_then(|e| e.downcast_ref()) {
        Some(too_much) => ImageError::ArchiveTooLarge {
            path: path.to_owned(),
            source: *too_much,
        },
        None => ImageError::Open {
            path: path.to_owned(),
            source,
        },
    };
    let plain = decompressed(packed).map_err(failed)?;
    let mut metered = MeteredReader::new(plain, meter);
    io::copy(&mut metered, &mut scratch).map_err(failed)?;
    scratch.rewind().map_err(failed)?;
    Ok(scratch)
}

#[cfg(test)]
mod tests {
    use bytesize::ByteSize;

    use crate::image::layer::meter::TooMuch;

    use super::*;

    #[test]
    fn an_archive_without_an_end_is_stopped() {
        let meter = Meter::half_of(ByteSize::mib(2));
        let scratch = tempfile::tempfile().unwrap();
        let error = copy(io::repeat(7), scratch, meter, Path::new("p")).unwrap_err();
        let expected = TooMuch::Bytes {
            limit: ByteSize::mib(1),
        };
        assert!(matches!(error, ImageError::ArchiveTooLarge { source, .. } if source == expected));
    }
}
