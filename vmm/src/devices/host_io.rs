#![expect(
    unsafe_code,
    reason = "hands guest memory to the host's readv(2), preadv(2), pwritev2(2) and getrandom(2)"
)]
//! Reads and writes of host descriptors, straight into and out of guest memory.

use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int, iovec, off_t};

use vm_memory::VolatileSlice;
use vm_memory::bitmap::BitmapSlice;

/// The most pieces that one call of the host takes (`IOV_MAX`).
const IOV_MAX: usize = 1024;

/// Pieces of guest memory, in order, whose bytes are yet to be moved.
///
/// No Rust reference leads to guest memory, and the host's kernel moves the bytes. A guest with
/// other vCPUs may write to the bytes meanwhile, as any program may write to a buffer that it has
/// handed to a system call, and harms only itself. Each [`VolatileSlice`] promises that its piece
/// is mapped during `'m`.
#[derive(Debug, Default)]
pub struct GuestSlices<'m> {
    pieces: Vec<iovec>,
    done: usize,
    memory: PhantomData<&'m ()>,
}

impl<'m> GuestSlices<'m> {
    /// Adds at the end what is left of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.pieces.extend(other.pieces.drain(other.done..));
    }

    /// Adds at the end a piece of guest memory.
    pub fn push<B: BitmapSlice>(&mut self, piece: &VolatileSlice<'m, B>) {
        self.pieces.push(iovec {
            iov_base: piece.ptr_guard_mut().as_ptr().cast(),
            iov_len: piece.len(),
        });
    }

    /// The bytes that are yet to be moved.
    pub fn len(&self) -> usize {
        self.pieces[self.done..]
            .iter()
            .map(|piece| piece.iov_len)
            .sum()
    }

    /// Whether all bytes were moved.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The address and the length of each piece.
    #[cfg(test)]
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pieces
            .iter()
            .map(|piece| (piece.iov_base as usize, piece.iov_len))
    }

    /// The pieces that are left. One call of the host takes no more than [`IOV_MAX`] of them.
    pub(super) fn left(&self) -> Vec<iovec> {
        self.pieces[self.done..].to_vec()
    }

    /// The pieces for the next call of the host.
    fn next(&self) -> &[iovec] {
        let left = &self.pieces[self.done..];
        &left[..left.len().min(IOV_MAX)]
    }

    /// The first piece that is left and holds something.
    fn first(&self) -> Option<iovec> {
        let mut left = self.pieces[self.done..].iter();
        left.find(|piece| piece.iov_len > 0).copied()
    }

    /// Skips `count` bytes, which were moved.
    pub fn skip(&mut self, mut count: usize) {
        while let Some(piece) = self.pieces.get_mut(self.done) {
            if count < piece.iov_len {
                piece.iov_base = piece.iov_base.wrapping_byte_add(count);
                piece.iov_len -= count;
                return;
            }
            count -= piece.iov_len;
            self.done += 1;
        }
    }

    /// Repeats `move_next` until everything is moved, nothing more is moved, or a call fails. The
    /// arguments of `move_next` are the pieces and the number of bytes moved before. The result is
    /// an error only if the first call fails, as in Linux.
    fn move_all(
        &mut self,
        mut move_next: impl FnMut(&[iovec], usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut total = 0;
        while !self.is_empty() {
            match move_next(self.next(), total) {
                Ok(0) => break,
                Ok(count) => {
                    total += count;
                    self.skip(count);
                }
                Err(Errno::EINTR) => {}
                Err(_) if total > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
}

/// Reads the bytes that are there, with one `readv`, which waits for the first byte.
///
/// # Errors
/// The host's error.
pub fn read_some(from: BorrowedFd<'_>, into: &GuestSlices<'_>) -> Result<usize, Errno> {
    let pieces = into.next();
    loop {
        // SAFETY: the pieces are mapped and no Rust reference leads there (`GuestSlices`).
        let count = unsafe { libc::readv(from.as_raw_fd(), pieces.as_ptr(), length(pieces)) };
        match moved(count) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// Writes everything with `writev`, unless the reader goes away.
///
/// # Errors
/// The host's error if nothing was written.
pub fn write_all(to: BorrowedFd<'_>, from: &mut GuestSlices<'_>) -> Result<usize, Errno> {
    from.move_all(|pieces, _| {
        // SAFETY: the pieces are mapped (`GuestSlices`).
        moved(unsafe { libc::writev(to.as_raw_fd(), pieces.as_ptr(), length(pieces)) })
    })
}

/// Writes a packet with one `writev`.
///
/// # Errors
/// The host's error.
pub fn write_packet(to: BorrowedFd<'_>, from: &GuestSlices<'_>) -> Result<usize, Errno> {
    let pieces = from.next();
    // SAFETY: the pieces are mapped (`GuestSlices`).
    moved(unsafe { libc::writev(to.as_raw_fd(), pieces.as_ptr(), length(pieces)) })
}

/// The work on packets that a TAP device may leave to the packets' reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// Whether the reader checks checksums.
    pub checksums: bool,
    /// Whether the reader takes TCP over IPv4 that is not cut into segments.
    pub segments: bool,
}

/// Makes a TAP device leave this work to its reader.
///
/// # Errors
/// The host's error.
pub fn set_offloads(tap: BorrowedFd<'_>, offloads: Offloads) -> Result<(), Errno> {
    let bit = |bit, is_set| if is_set { bit } else { 0 };
    let bits = bit(libc::TUN_F_CSUM, offloads.checksums) | bit(libc::TUN_F_TSO4, offloads.segments);
    // SAFETY: the argument is a number.
    let result = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETOFFLOAD, bits) };
    Errno::result(result).map(drop)
}

/// Reads from `offset` on with `preadv`, until the slices are full or the file ends.
///
/// # Errors
/// The host's error if nothing was read.
pub fn read_at(
    from: BorrowedFd<'_>,
    into: &mut GuestSlices<'_>,
    offset: u64,
) -> Result<usize, Errno> {
    into.move_all(|pieces, done| {
        let at = position(offset, done)?;
        // SAFETY: the pieces are mapped and no Rust reference leads there (`GuestSlices`).
        moved(unsafe { libc::preadv(from.as_raw_fd(), pieces.as_ptr(), length(pieces), at) })
    })
}

/// Writes everything at `offset` with `pwritev2`, whose `flags` are `RWF_*`.
///
/// # Errors
/// The host's error if nothing was written.
pub fn write_at(
    to: BorrowedFd<'_>,
    from: &mut GuestSlices<'_>,
    offset: u64,
    flags: c_int,
) -> Result<usize, Errno> {
    from.move_all(|pieces, done| {
        let at = position(offset, done)?;
        // SAFETY: the pieces are mapped (`GuestSlices`).
        moved(unsafe { libc::pwritev2(to.as_raw_fd(), pieces.as_ptr(), length(pieces), at, flags) })
    })
}

/// Fills the slices with random bytes (`getrandom`).
///
/// # Errors
/// The host's error if nothing was filled.
pub fn fill_random(into: &mut GuestSlices<'_>, flags: u32) -> Result<usize, Errno> {
    into.move_all(|pieces, _| {
        let Some(piece) = pieces.first() else {
            return Ok(0);
        };
        // SAFETY: the piece is mapped and no Rust reference leads there (`GuestSlices`).
        moved(unsafe { libc::getrandom(piece.iov_base, piece.iov_len, flags) })
    })
}

/// Makes all bytes zero, and returns their number.
pub fn fill_zero(into: &GuestSlices<'_>) -> usize {
    for piece in &into.pieces {
        // SAFETY: the piece is mapped and no Rust reference leads there (`GuestSlices`).
        unsafe { piece.iov_base.cast::<u8>().write_bytes(0, piece.iov_len) };
    }
    into.len()
}

/// Copies the bytes that are left of `from`.
pub fn copy_out(from: &GuestSlices<'_>) -> Vec<u8> {
    let mut bytes = vec![0; from.len()];
    let mut done = 0;
    for piece in &from.pieces[from.done..] {
        let into = &mut bytes[done..done + piece.iov_len];
        // SAFETY: the piece is mapped, no Rust reference leads there (`GuestSlices`), and `into` has
        // the piece's length.
        unsafe {
            into.as_mut_ptr()
                .copy_from_nonoverlapping(piece.iov_base.cast(), piece.iov_len);
        }
        done += piece.iov_len;
    }
    bytes
}

/// Copies the first bytes of `from`, as many as there is room for, and returns their number.
pub fn copy_from(from: &[u8], into: &GuestSlices<'_>) -> usize {
    let mut left = from;
    for piece in &into.pieces[into.done..] {
        let (now, later) = left.split_at(left.len().min(piece.iov_len));
        let to = piece.iov_base.cast::<u8>();
        // SAFETY: the piece is mapped and no Rust reference leads there (`GuestSlices`), and `now`
        // is no longer than the piece.
        unsafe { to.copy_from(now.as_ptr(), now.len()) };
        left = later;
    }
    from.len() - left.len()
}

/// Copies at most `most` bytes of what is left of `from` to what is left of `to`, and returns their
/// number.
pub fn copy(from: &mut GuestSlices<'_>, to: &mut GuestSlices<'_>, most: usize) -> usize {
    let mut done = 0;
    while let (Some(source), Some(target)) = (from.first(), to.first()) {
        let length = source.iov_len.min(target.iov_len).min(most - done);
        if length == 0 {
            break;
        }
        let target = target.iov_base.cast::<u8>();
        // SAFETY: both pieces are mapped, no Rust reference leads there (`GuestSlices`), and
        // `length` is no longer than either. They may overlap.
        unsafe { target.copy_from(source.iov_base.cast(), length) };
        from.skip(length);
        to.skip(length);
        done += length;
    }
    done
}

/// Makes at most `most` bytes of what is left of `into` zero, and returns their number.
pub fn zero(into: &mut GuestSlices<'_>, most: usize) -> usize {
    let mut done = 0;
    while let Some(piece) = into.first() {
        let length = piece.iov_len.min(most - done);
        if length == 0 {
            break;
        }
        // SAFETY: the piece is mapped, no Rust reference leads there (`GuestSlices`), and `length`
        // is no longer than the piece.
        unsafe { piece.iov_base.cast::<u8>().write_bytes(0, length) };
        into.skip(length);
        done += length;
    }
    done
}

fn length(pieces: &[iovec]) -> c_int {
    // Callers pass at most IOV_MAX pieces.
    c_int::try_from(pieces.len()).unwrap_or(c_int::MAX)
}

fn moved(count: isize) -> Result<usize, Errno> {
    Errno::result(count).map(isize::unsigned_abs)
}

fn position(offset: u64, done: usize) -> Result<off_t, Errno> {
    let at = offset.checked_add(done as u64).ok_or(Errno::EINVAL)?;
    off_t::try_from(at).map_err(|_| Errno::EINVAL)
}
