//! Writing the content of a file.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};

use super::at;
use crate::image::archive::members::{Member, Members};
use crate::image::layer::fault::LayerFault;
use crate::image::layer::meter::Meter;
use crate::image::layer::path::SafePath;
use crate::image::layer::tree::errno;

/// How many bytes of a file are copied at a time.
const CHUNK: usize = 64 * 1024;

/// Writes the content of `member` to `file`, which is at `path`. What a sparse file leaves out
/// becomes a hole. The hole counts as if it were written, because a guest gets the whole file.
pub(super) fn copy<R: Read>(
    member: &Member,
    members: &mut Members<R>,
    file: &mut File,
    path: &SafePath,
    meter: &Meter,
) -> Result<(), LayerFault> {
    let mut buffer = vec![0; CHUNK];
    let content = &mut members.content();
    let Some(segments) = &member.segments else {
        return copy_some(content, member.size, file, path, &mut buffer);
    };
    let packed: u64 = segments.iter().map(|segment| segment.length).sum();
    meter.charge_bytes(member.size - packed)?;
    let failed = |error: io::Error| at(path)(errno(&error));
    for segment in segments {
        let start = SeekFrom::Start(segment.offset);
        file.seek(start).map_err(failed)?;
        copy_some(content, segment.length, file, path, &mut buffer)?;
    }
    file.set_len(member.size).map_err(failed)
}

/// Copies `count` bytes. The error tells whether reading or writing failed.
fn copy_some(
    content: &mut impl Read,
    count: u64,
    file: &mut File,
    path: &SafePath,
    buffer: &mut [u8],
) -> Result<(), LayerFault> {
    let mut content = content.take(count);
    loop {
        let count = match content.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(LayerFault::Read { source }),
        };
        let written = file.write_all(&buffer[..count]);
        written.map_err(|error| at(path)(errno(&error)))?;
    }
}
