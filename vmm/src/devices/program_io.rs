//! The program's standard streams in a guest with a kernel: the protocol between `/init` and the
//! VMM.
//!
//! For output, `/init` names a piece of its memory in registers and writes to a port: one exit for
//! up to a pipe's content, and no copy. (A string write, `rep outsb`, would cost one exit a byte,
//! since KVM interprets it so.) Input goes through the serial port, the only device here that can
//! wake the guest. `/init` grants credit for input, since a byte without room in the port would be
//! lost.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, PoisonError};

use super::host_io::{self, GuestSlices};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The most bytes on their way to `/init`: the serial port's receiver has room for as many.
const WINDOW: usize = 64;

/// The byte before a byte with a special meaning. An escape after an escape means itself.
const ESCAPE: u8 = 0xff;
/// The byte that, after an escape, means that standard input has ended.
const END: u8 = 0;

/// The reader of the program's output has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderGone;

/// The host's end of the program's standard output or error.
#[derive(Debug)]
pub struct Output {
    to: OwnedFd,
}

impl Output {
    /// Makes an output to the descriptor `to`.
    pub fn new(to: OwnedFd) -> Self {
        Self { to }
    }

    /// Writes all of `from`.
    ///
    /// # Errors
    /// The host can't write all, in most cases since nobody reads any more.
    pub fn write(&self, from: &mut GuestSlices<'_>) -> Result<(), ReaderGone> {
        while !from.is_empty() {
            match host_io::write_all(self.to.as_fd(), from) {
                // Zero bytes were written: the output holds no more.
                Ok(0) => return Err(ReaderGone),
                Ok(_) => {}
                // Another process has made the shared open file non-blocking.
                Err(Errno::EAGAIN) => wait_for_room(self.to.as_fd()),
                Err(_) => return Err(ReaderGone),
            }
        }
        Ok(())
    }
}

fn wait_for_room(descriptor: BorrowedFd<'_>) {
    let _ = poll(
        &mut [PollFd::new(descriptor, PollFlags::POLLOUT)],
        PollTimeout::NONE,
    );
}

/// Credit for input: the number of bytes for which `/init` has room.
#[derive(Debug, Default)]
pub struct InputCredit {
    bytes: Mutex<usize>,
    added: Condvar,
}

impl InputCredit {
    /// Adds room for `count` bytes.
    pub fn add(&self, count: usize) {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes = bytes.saturating_add(count).min(WINDOW);
        self.added.notify_one();
    }

    /// Waits for credit, and takes all of it.
    fn take(&self) -> usize {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = self
            .added
            .wait_while(bytes, |bytes| *bytes == 0)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *bytes)
    }
}

/// Forwards `input` until its end, as far as there is credit. `send` puts bytes on the wire.
pub fn forward(input: &OwnedFd, credit: &InputCredit, mut send: impl FnMut(&[u8])) {
    let mut buffer = [0; WINDOW];
    let mut room = 0;
    loop {
        while room < 2 {
            room += credit.take();
        }
        // Each byte may need an escape.
        let piece = &mut buffer[..room / 2];
        let count = match nix::unistd::read(input, piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(Errno::EINTR) => continue,
            Err(Errno::EAGAIN) => {
                let wait = PollFd::new(input.as_fd(), PollFlags::POLLIN);
                let _ = poll(&mut [wait], PollTimeout::NONE);
                continue;
            }
            // To the program, an input that can't be read has ended.
            Err(_) => break,
        };
        let escaped = escape(&piece[..count]);
        room -= escaped.len();
        send(&escaped);
    }
    send(&[ESCAPE, END]);
}

fn escape(bytes: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(WINDOW);
    for byte in bytes {
        escaped.push(*byte);
        if *byte == ESCAPE {
            escaped.push(ESCAPE);
        }
    }
    escaped
}

/// Whether `input` can ever give a byte. The null device can't.
///
/// # Errors
/// The descriptor is not open.
pub fn has_input(input: BorrowedFd<'_>) -> io::Result<bool> {
    let file = nix::sys::stat::fstat(input)?;
    let null = nix::sys::stat::makedev(1, 3);
    let is_device = file.st_mode & libc::S_IFMT == libc::S_IFCHR;
    Ok(!(is_device && file.st_rdev == null))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use vm_memory::GuestMemoryBackend as _;

    #[test]
    fn input_arrives_escaped_and_ends_with_its_end() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let input: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let sent = std::thread::scope(|scope| {
            let credit = InputCredit::default();
            credit.add(WINDOW);
            let mut sent = Vec::new();
            scope.spawn(|| std::fs::File::from(writer).write_all(&input).unwrap());
            forward(&reader, &credit, |bytes| {
                assert!(bytes.len() <= WINDOW);
                sent.extend_from_slice(bytes);
                credit.add(bytes.len());
            });
            sent
        });
        assert_eq!(sent[sent.len() - 2..], [ESCAPE, END]);
        let mut expected = Vec::new();
        for byte in input {
            expected.extend(escape(&[byte]));
        }
        assert_eq!(sent[..sent.len() - 2], expected);
    }

    #[test]
    fn the_null_device_has_no_input() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(!has_input(null.as_fd()).unwrap());
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        assert!(has_input(reader.as_fd()).unwrap());
    }

    #[test]
    fn a_closed_reader_is_told() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let output = Output::new(writer);
        let memory = crate::memory::map(&[(0, 1 << 20)]).unwrap();
        let slices = || {
            let mut slices = GuestSlices::default();
            let piece = memory.get_slice(vm_memory::GuestAddress(0), 5).unwrap();
            slices.push(&piece);
            slices
        };
        output.write(&mut slices()).unwrap();
        drop(reader);
        assert_eq!(output.write(&mut slices()), Err(ReaderGone));
    }
}
