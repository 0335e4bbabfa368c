#![expect(
    unsafe_code,
    reason = "hands guest RAM to the host's readv(2), preadv(2), pwritev2(2) and getrandom(2)"
)]
//! Reading and writing host descriptors straight into and out of guest RAM.

use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use nix::errno::Errno;
use nix::libc::{self, c_int, iovec, off_t};

use vm_memory::VolatileSlice;
use vm_memory::bitmap::BitmapSlice;

/// The most pieces that one host call takes (`IOV_MAX`).
const IOV_MAX: usize = 1024;

/// Pieces of guest RAM, in the order of the guest's addresses, that are yet to be moved.
///
/// No Rust reference leads to guest RAM, and it is the host's kernel that moves the bytes: a guest with other vCPUs
/// may write to them meanwhile, as any program may to a buffer that it has handed to a system call, and harms only
/// itself. [`HostSlices`] and [`VolatileSlice`] promise that the pieces are mapped during `'m`.
#[derive(Debug, Default)]
pub struct GuestSlices<'m> {
    pieces: Vec<iovec>,
    done: usize,
    memory: PhantomData<&'m ()>,
}

impl<'m> GuestSlices<'m> {
    /// Adds the pieces of `other` that are yet to be moved at the end.
    pub fn append(&mut self, mut other: Self) {
        self.pieces.extend(other.pieces.drain(other.done..));
    }

    /// Adds a piece of guest memory at the end.
    pub fn push<B: BitmapSlice>(&mut self, piece: &VolatileSlice<'m, B>) {
        self.pieces.push(iovec {
            iov_base: piece.ptr_guard_mut().as_ptr().cast(),
            iov_len: piece.len(),
        });
    }

    /// Bytes yet to be moved.
    pub fn len(&self) -> usize {
        self.pieces[self.done..]
            .iter()
            .map(|piece| piece.iov_len)
            .sum()
    }

    /// Whether nothing is left to be moved.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Address and length of each piece.
    #[cfg(test)]
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.pieces
            .iter()
            .map(|piece| (piece.iov_base as usize, piece.iov_len))
    }

    /// Address and length of each piece that is left. Nobody else may be given more than [`IOV_MAX`] of them.
    pub(super) fn all(&self) -> Vec<iovec> {
        self.pieces[self.done..].to_vec()
    }

    /// Skips bytes that have been moved.
    pub fn skip(&mut self, count: usize) {
        self.advance(count);
    }

    /// What one host call can take.
    fn next(&self) -> &[iovec] {
        let left = &self.pieces[self.done..];
        &left[..left.len().min(IOV_MAX)]
    }

    /// Skips what has been moved.
    fn advance(&mut self, mut count: usize) {
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

    /// Repeats `step` until it has moved everything, or moves nothing, or fails.
    ///
    /// What has been moved before a failure counts, as in Linux.
    fn move_all(
        &mut self,
        mut step: impl FnMut(&[iovec], usize) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let mut total = 0;
        while !self.is_empty() {
            match step(self.next(), total) {
                Ok(0) => break,
                Ok(count) => {
                    total += count;
                    self.advance(count);
                }
                Err(Errno::EINTR) => {}
                Err(_) if total > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(total)
    }
}

/// Reads what is there, waiting for something: one `readv`.
///
/// # Errors
/// What the host says.
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

/// Writes everything, unless the reader goes away: `writev`.
///
/// # Errors
/// What the host says, if nothing has been written.
pub fn write_all(to: BorrowedFd<'_>, from: &mut GuestSlices<'_>) -> Result<usize, Errno> {
    from.move_all(|pieces, _| {
        // SAFETY: the pieces are mapped (`GuestSlices`).
        moved(unsafe { libc::writev(to.as_raw_fd(), pieces.as_ptr(), length(pieces)) })
    })
}

/// Writes what one call takes, and no more: a packet. `writev`.
///
/// # Errors
/// What the host says.
pub fn write_packet(to: BorrowedFd<'_>, from: &GuestSlices<'_>) -> Result<usize, Errno> {
    let pieces = from.next();
    // SAFETY: the pieces are mapped (`GuestSlices`).
    moved(unsafe { libc::writev(to.as_raw_fd(), pieces.as_ptr(), length(pieces)) })
}

/// What a TAP device may leave to the reader of its packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offloads {
    /// To compute checksums.
    pub checksums: bool,
    /// To cut what TCP sends over IPv4 into segments.
    pub segments: bool,
}

/// Has a TAP device leave this much to its reader.
///
/// # Errors
/// What the host says.
pub fn set_offloads(tap: BorrowedFd<'_>, offloads: Offloads) -> Result<(), Errno> {
    let bit = |bit, is_set| if is_set { bit } else { 0 };
    let bits = bit(libc::TUN_F_CSUM, offloads.checksums) | bit(libc::TUN_F_TSO4, offloads.segments);
    // SAFETY: the argument is a number.
    let result = unsafe { libc::ioctl(tap.as_raw_fd(), libc::TUNSETOFFLOAD, bits) };
    Errno::result(result).map(drop)
}

/// Reads from `offset` until the slices are full or the file ends: `preadv`.
///
/// # Errors
/// What the host says, if nothing has been read.
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

/// Writes everything at `offset`: `pwritev2` with `RWF_*` flags.
///
/// # Errors
/// What the host says, if nothing has been written.
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

/// Fills the slices with random bytes: `getrandom`.
///
/// # Errors
/// What the host says, if nothing has been filled.
pub fn fill_random(into: &mut GuestSlices<'_>, flags: u32) -> Result<usize, Errno> {
    into.move_all(|pieces, _| {
        let Some(piece) = pieces.first() else {
            return Ok(0);
        };
        // SAFETY: the piece is mapped and no Rust reference leads there (`GuestSlices`).
        moved(unsafe { libc::getrandom(piece.iov_base, piece.iov_len, flags) })
    })
}

/// Makes all bytes zero.
pub fn fill_zero(into: &GuestSlices<'_>) -> usize {
    for piece in &into.pieces {
        // SAFETY: the piece is mapped and no Rust reference leads there (`GuestSlices`).
        unsafe { piece.iov_base.cast::<u8>().write_bytes(0, piece.iov_len) };
    }
    into.len()
}

/// A terminal's answer to an `ioctl` that only asks and fills at most 64 bytes.
///
/// # Errors
/// `ENOTTY` when it is none.
pub fn ask_terminal(
    terminal: BorrowedFd<'_>,
    question: TerminalQuestion,
) -> Result<Vec<u8>, Errno> {
    let mut answer = [0_u8; 64];
    // SAFETY: both questions write at most `size()` bytes, fewer than `answer` has.
    let result = unsafe {
        libc::ioctl(
            terminal.as_raw_fd(),
            question.request(),
            answer.as_mut_ptr(),
        )
    };
    Errno::result(result)?;
    Ok(answer[..question.size()].to_vec())
}

/// What can be asked about a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TerminalQuestion {
    /// Its settings, which only a terminal has (`TCGETS`).
    Settings,
    /// Its rows and columns (`TIOCGWINSZ`).
    Size,
}

impl TerminalQuestion {
    fn request(self) -> libc::Ioctl {
        match self {
            Self::Settings => libc::TCGETS,
            Self::Size => libc::TIOCGWINSZ,
        }
    }

    /// Bytes of the kernel's `struct termios` (without the C library's additions) and `struct winsize`.
    fn size(self) -> usize {
        match self {
            Self::Settings => 36,
            Self::Size => 8,
        }
    }
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
