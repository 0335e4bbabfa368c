//! The program's standard input on its way into a guest with a kernel.
//!
//! `/init` names a piece of its memory, as it does for output, and the VMM fills the piece in the
//! exit: first the number of bytes, then the bytes. A thread reads standard input ahead meanwhile.
//! If there is nothing yet, the answer says so, and one byte through the serial port wakes the guest
//! later: the serial port is the only device here that can. So `/init` takes as much as the program
//! has room for, and what nobody takes stays with the sender.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::host_io::{GuestSlices, copy_from};

/// The bytes of the number before the bytes of input.
pub const HEADER: usize = size_of::<u32>();
/// The most bytes of input in one exit: as many as a pipe holds.
pub const MOST_INPUT: usize = 64 * 1024;
/// The number of bytes that means that standard input has ended.
const END: u32 = u32::MAX;

/// The program's standard input, as the host has it.
#[derive(Debug)]
pub struct Input {
    from: OwnedFd,
    ahead: Mutex<Ahead>,
    changed: Condvar,
}

/// What was read and not taken yet.
#[derive(Debug)]
struct Ahead {
    bytes: Vec<u8>,
    left: Range<usize>,
    has_ended: bool,
    /// Whether the guest waits to be woken.
    guest_waits: bool,
}

impl Input {
    /// Makes an input from the descriptor `from`. Nothing is read before the guest asks.
    pub fn new(from: OwnedFd) -> Self {
        Self {
            from,
            ahead: Mutex::new(Ahead {
                bytes: vec![0; MOST_INPUT],
                left: 0..0,
                has_ended: false,
                guest_waits: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Fills `into` with the number of bytes and the bytes, as far as there are some. The number is
    /// 0 if there is nothing yet, and `u32::MAX` at the end.
    pub fn take(&self, mut into: GuestSlices<'_>) {
        let mut ahead = self.lock();
        let room = into.len().saturating_sub(HEADER);
        let count = room.min(ahead.left.len());
        let number = match u32::try_from(count) {
            Ok(0) if ahead.has_ended => END,
            Ok(count) => count,
            // No piece is that long.
            Err(_) => return,
        };
        copy_from(&number.to_le_bytes(), &into);
        into.skip(HEADER);
        let start = ahead.left.start;
        copy_from(&ahead.bytes[start..start + count], &into);
        ahead.left.start += count;
        ahead.guest_waits = number == 0;
        if ahead.left.is_empty() {
            self.changed.notify_one();
        }
    }

    /// Reads ahead until the end of standard input. `wake` wakes the guest.
    pub fn read_ahead(&self, wake: impl Fn()) {
        let mut bytes = vec![0; MOST_INPUT];
        drop(self.wait_until(|ahead| ahead.guest_waits));
        loop {
            let count = read_some(self.from.as_fd(), &mut bytes);
            let mut ahead = self.wait_until(|ahead| ahead.left.is_empty());
            std::mem::swap(&mut ahead.bytes, &mut bytes);
            ahead.left = 0..count;
            ahead.has_ended = count == 0;
            let waits = std::mem::take(&mut ahead.guest_waits);
            drop(ahead);
            if waits {
                wake();
            }
            if count == 0 {
                return;
            }
        }
    }

    fn wait_until(&self, condition: impl Fn(&Ahead) -> bool) -> MutexGuard<'_, Ahead> {
        self.changed
            .wait_while(self.lock(), |ahead| !condition(ahead))
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Ahead> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads until there is something; 0 is the end. To the program, an input that can't be read has
/// ended.
fn read_some(from: BorrowedFd<'_>, bytes: &mut [u8]) -> usize {
    loop {
        match nix::unistd::read(from, bytes) {
            Ok(count) => return count,
            Err(Errno::EINTR) => {}
            // Another process has made the shared open file non-blocking.
            Err(Errno::EAGAIN) => {
                let wait = PollFd::new(from, PollFlags::POLLIN);
                let _ = poll(&mut [wait], PollTimeout::NONE);
            }
            Err(_) => return 0,
        }
    }
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
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::mpsc;
    use std::thread;

    use vm_memory::{Bytes as _, GuestAddress, GuestMemoryBackend as _};

    use super::*;
    use crate::memory::{Memory, map};

    /// Asks once, with room for `room` bytes.
    fn ask(input: &Input, memory: &Memory, room: usize) -> (u32, Vec<u8>) {
        let mut slices = GuestSlices::default();
        let piece = memory.get_slice(GuestAddress(0), HEADER + room).unwrap();
        slices.push(&piece);
        input.take(slices);
        let number: u32 = memory.read_obj(GuestAddress(0)).unwrap();
        let mut bytes = vec![0; if number == END { 0 } else { number as usize }];
        memory
            .read_slice(&mut bytes, GuestAddress(HEADER as u64))
            .unwrap();
        (number, bytes)
    }

    /// Does what a guest does until the end of input: takes pieces of `room` bytes, and sleeps when
    /// there is nothing.
    fn take_all(input: &Input, room: usize) -> Vec<u8> {
        let memory = map(&[(0, 1 << 20)]).unwrap();
        let (wake, woken) = mpsc::channel();
        let mut all = Vec::new();
        thread::scope(|scope| {
            scope.spawn(move || input.read_ahead(|| wake.send(()).unwrap()));
            loop {
                match ask(input, &memory, room) {
                    (0, _) => woken.recv().expect("a waiting guest is woken"),
                    (END, _) => return,
                    (_, bytes) => all.extend(bytes),
                }
            }
        });
        all
    }

    #[test]
    fn all_bytes_arrive_in_order_however_small_the_pieces() {
        for (length, room) in [(0, 10), (1, 10), (1000, 7), (300_000, MOST_INPUT)] {
            let sent: Vec<u8> = (0..=255).cycle().take(length).collect();
            let (reader, writer) = nix::unistd::pipe().unwrap();
            let input = Input::new(reader);
            let taken = thread::scope(|scope| {
                scope.spawn(|| File::from(writer).write_all(&sent).unwrap());
                take_all(&input, room)
            });
            assert_eq!(taken, sent, "{length} bytes in pieces of {room}");
        }
    }

    #[test]
    fn a_guest_that_has_no_room_loses_nothing() {
        let memory = map(&[(0, 1 << 20)]).unwrap();
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let input = Input::new(reader);
        let mut writer = File::from(writer);
        writer.write_all(b"abc").unwrap();
        assert_eq!(ask(&input, &memory, 0), (0, vec![]));
        let (wake, woken) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| input.read_ahead(|| wake.send(()).unwrap()));
            woken.recv().unwrap();
            assert_eq!(ask(&input, &memory, 0), (0, vec![]));
            assert_eq!(ask(&input, &memory, 10), (3, b"abc".to_vec()));
            assert_eq!(ask(&input, &memory, 10).0, 0);
            drop(writer);
            woken.recv().unwrap();
            assert_eq!(ask(&input, &memory, 10).0, END);
        });
    }

    #[test]
    fn the_null_device_has_no_input() {
        let null = File::open("/dev/null").unwrap();
        assert!(!has_input(null.as_fd()).unwrap());
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        assert!(has_input(reader.as_fd()).unwrap());
    }
}
