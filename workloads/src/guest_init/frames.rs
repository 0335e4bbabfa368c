//! Frames: how `/init` speaks over a line of user-mode Linux.
//!
//! A line is a stream of bytes in each direction. From the guest come frames: one byte for the kind,
//! four for the payload's length (little-endian), and the payload. To the guest go *calls* of four
//! bytes: how many bytes of standard input lie in the mailbox, or 0 for the end of standard input.
//! The mailbox is a disk that both sides open, since a line reads its input byte by byte.

use std::num::NonZeroU32;

use strum::FromRepr;

/// The bytes of a frame before its payload.
pub const HEADER: usize = 5;
/// The bytes of a call to the guest.
pub const CALL: usize = 4;
/// The most bytes of a payload: as many as a pipe holds.
pub const MOST_PAYLOAD: usize = 64 * 1024;
/// The size of the mailbox in bytes.
pub const MAILBOX: usize = 256 * 1024;

/// What a frame tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(u8)]
pub enum Kind {
    /// `/init` has started.
    Started = 1,
    /// Bytes of the program's standard output.
    Output = 2,
    /// Bytes of the program's standard error.
    Error = 3,
    /// The mailbox may be filled.
    Ready = 4,
    /// The program's exit code, one byte.
    Exit = 5,
}

/// A guest sent what is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} with {length} bytes is no frame")]
pub struct FrameError {
    /// The byte in the place of the kind.
    kind: u8,
    /// The length that the header names.
    length: u32,
}

/// The header of a frame with a payload of `length` bytes.
pub fn header(kind: Kind, length: u32) -> [u8; HEADER] {
    let mut header = [kind as u8; HEADER];
    header[1..].copy_from_slice(&length.to_le_bytes());
    header
}

/// The call for `count` bytes in the mailbox; `None` is the end of standard input.
pub fn call(count: Option<NonZeroU32>) -> [u8; CALL] {
    count.map_or(0, NonZeroU32::get).to_le_bytes()
}

/// Finds the frames in a stream of bytes.
#[derive(Debug, Default)]
pub struct Frames {
    /// Bytes of a frame that has not arrived whole.
    pending: Vec<u8>,
}

impl Frames {
    /// Takes bytes from the line, and hands each whole frame to `each`.
    ///
    /// # Errors
    /// [`FrameError`], or the error of `each`.
    pub fn take<E: From<FrameError>>(
        &mut self,
        bytes: &[u8],
        mut each: impl FnMut(Kind, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.pending.extend_from_slice(bytes);
        let mut done = 0;
        while let Some((kind, length)) = parse(&self.pending[done..])? {
            let payload = done + HEADER;
            let Some(payload) = self.pending.get(payload..payload + length) else {
                break;
            };
            each(kind, payload)?;
            done += HEADER + length;
        }
        self.pending.drain(..done);
        Ok(())
    }
}

/// The kind and the payload's length of the frame that begins with `bytes`; `None` if the header has
/// not arrived whole.
fn parse(bytes: &[u8]) -> Result<Option<(Kind, usize)>, FrameError> {
    let Some((&[kind, length @ ..], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(length);
    let refused = FrameError { kind, length };
    let known = Kind::from_repr(kind).ok_or(refused)?;
    let size = length as usize;
    let fits = match known {
        Kind::Started | Kind::Ready => size == 0,
        Kind::Exit => size == 1,
        Kind::Output | Kind::Error => size <= MOST_PAYLOAD,
    };
    if fits {
        Ok(Some((known, size)))
    } else {
        Err(refused)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame() -> impl Strategy<Value = (Kind, Vec<u8>)> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            Just((Kind::Started, Vec::new())),
            Just((Kind::Ready, Vec::new())),
            bytes().prop_map(|payload| (Kind::Output, payload)),
            bytes().prop_map(|payload| (Kind::Error, payload)),
            any::<u8>().prop_map(|code| (Kind::Exit, vec![code])),
        ]
    }

    proptest! {
        #[test]
        fn frames_arrive_whole_however_the_line_cuts_them(
            sent in prop::collection::vec(frame(), 0..10),
            piece in 1_usize..400,
        ) {
            let mut line = Vec::new();
            for (kind, payload) in &sent {
                line.extend(header(*kind, u32::try_from(payload.len()).unwrap()));
                line.extend(payload);
            }
            let mut frames = Frames::default();
            let mut received = Vec::new();
            for bytes in line.chunks(piece) {
                let taken: Result<_, FrameError> = frames.take(bytes, |kind, payload| {
                    received.push((kind, payload.to_vec()));
                    Ok(())
                });
                taken.unwrap();
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn no_bytes_make_the_parser_panic_or_keep_much(
            bytes in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut frames = Frames::default();
            let _: Result<_, FrameError> = frames.take(&bytes, |_, _| Ok(()));
            prop_assert!(frames.pending.len() <= HEADER + MOST_PAYLOAD);
        }
    }

    #[test]
    fn what_is_no_frame_is_refused_with_its_header() {
        for (bytes, message) in [
            ([9, 0, 0, 0, 0], "9 with 0 bytes is no frame"),
            ([5, 2, 0, 0, 0], "5 with 2 bytes is no frame"),
            ([2, 1, 0, 1, 0], "2 with 65537 bytes is no frame"),
        ] {
            let taken = Frames::default().take(&bytes, |_, _| Ok(()));
            let error: FrameError = taken.unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
