#![expect(
    unsafe_code,
    reason = "hands guest RAM to the host's io_uring until it is done with it"
)]
//! Reads and writes of a disk past the host's page cache, several at once: an `io_uring(7)` of the disk's own.
//!
//! What an `io_uring` does passes by the VMM's seccomp filter, so this one is restricted before it works
//! (`IORING_REGISTER_RESTRICTIONS`, `io_uring_register(2)`): it reads and writes the one file that it was made with, and takes no
//! other registration. The filter lets nobody make another.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, register::Restriction, types};
use nix::errno::Errno;
use nix::libc::{self, iovec};
use vm_memory::{GuestMemoryBackend as _, GuestMemoryRegion as _};
use vmm_sys_util::eventfd::EventFd;

use super::host_io::GuestSlices;
use crate::memory::Memory;

/// Most requests under way at once; a queue has more entries, and what is beyond is served at once.
pub const DEPTH: u32 = 64;

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the disk.
    Read,
    /// To the disk; durable when it's done, or not.
    Write {
        /// As with `O_DSYNC`.
        durable: bool,
    },
}

/// What the host is busy with, and what keeps it valid.
struct UnderWay<T> {
    request: T,
    /// What the host was given: it may look here until it is done.
    _pieces: Vec<iovec>,
    /// What the pieces are in.
    _memory: Memory,
}

/// A ring for one disk. `T` is what the caller knows each request by.
pub struct DiskRing<T> {
    ring: IoUring,
    answered: EventFd,
    under_way: Vec<Option<UnderWay<T>>>,
}

// SAFETY: the pieces are addresses in guest memory, which is everybody's and which each request keeps mapped; nothing here
// belongs to a thread.
unsafe impl<T: Send> Send for DiskRing<T> {}

impl<T> std::fmt::Debug for DiskRing<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DiskRing").finish_non_exhaustive()
    }
}

impl<T> DiskRing<T> {
    /// A ring for `disk`, which stays open as long as the ring is there, since that holds it too.
    ///
    /// # Errors
    /// The host has no `io_uring` (Linux before 5.10), or doesn't let this process have one (`kernel.io_uring_disabled`).
    pub fn new(disk: BorrowedFd<'_>) -> io::Result<Self> {
        let answered = EventFd::new(libc::EFD_CLOEXEC)?;
        let ring = IoUring::builder().setup_r_disabled().build(DEPTH)?;
        let submitter = ring.submitter();
        submitter.register_files(&[disk.as_raw_fd()])?;
        submitter.register_eventfd(answered.as_raw_fd())?;
        submitter.register_restrictions(&mut [
            Restriction::sqe_op(opcode::Readv::CODE),
            Restriction::sqe_op(opcode::Writev::CODE),
            Restriction::sqe_flags_required(Flags::FIXED_FILE.bits()),
        ])?;
        submitter.register_enable_rings()?;
        Ok(Self {
            ring,
            answered,
            under_way: (0..DEPTH).map(|_| None).collect(),
        })
    }

    /// What can be read from once something is done.
    ///
    /// # Errors
    /// The host has no descriptor left.
    pub fn answered(&self) -> io::Result<EventFd> {
        self.answered.try_clone()
    }

    /// Starts to move `slices` of `memory`, from or to `offset` on.
    ///
    /// # Errors
    /// There is no room for one more, or the slices are of other memory: the request comes back.
    ///
    /// # Panics
    /// Never: there is an entry for each slot.
    pub fn start(
        &mut self,
        request: T,
        direction: Direction,
        slices: &GuestSlices<'_>,
        offset: u64,
        memory: &Memory,
    ) -> Result<(), T> {
        let pieces = slices.all();
        let free = self.under_way.iter().position(Option::is_none);
        let free = free.filter(|_| pieces.iter().all(|piece| is_within(memory, piece)));
        let (Some(slot), Ok(count)) = (free, u32::try_from(pieces.len())) else {
            return Err(request);
        };
        let disk = types::Fixed(0);
        let entry = match direction {
            Direction::Read => opcode::Readv::new(disk, pieces.as_ptr(), count)
                .offset(offset)
                .build(),
            Direction::Write { durable } => opcode::Writev::new(disk, pieces.as_ptr(), count)
                .offset(offset)
                .rw_flags(if durable { libc::RWF_DSYNC } else { 0 })
                .build(),
        };
        let entry = entry.user_data(slot as u64);
        self.under_way[slot] = Some(UnderWay {
            request,
            _pieces: pieces,
            _memory: memory.clone(),
        });
        // SAFETY: the list of pieces and the memory that they are in (`is_within`) are kept in `under_way` until the host says that it
        // is done, and that until then (`Drop`). A slot is free only after that, so there are as many entries as slots.
        unsafe { self.ring.submission().push(&entry) }.expect("an entry for each slot");
        // What the host doesn't take now it takes with the next.
        let _ = self.ring.submit();
        Ok(())
    }

    /// One that is done, with how many bytes were moved.
    pub fn next_done(&mut self) -> Option<(T, Result<usize, Errno>)> {
        let done = self.ring.completion().next()?;
        let slot = usize::try_from(done.user_data()).ok()?;
        let UnderWay { request, .. } = self.under_way.get_mut(slot)?.take()?;
        let moved = usize::try_from(done.result());
        Some((request, moved.map_err(|_| Errno::from_raw(-done.result()))))
    }

    /// Waits until nothing is under way, and forgets what was.
    pub fn drain(&mut self) {
        while self.under_way.iter().any(Option::is_some) {
            let _ = self.ring.submit_and_wait(1);
            while self.next_done().is_some() {}
        }
    }
}

/// Whether all of a piece is guest memory.
fn is_within(memory: &Memory, piece: &iovec) -> bool {
    memory.iter().any(|region| {
        let offset = (piece.iov_base as usize).checked_sub(region.host_base() as usize);
        let end = offset.and_then(|offset| offset.checked_add(piece.iov_len));
        end.is_some_and(|end| end as u64 <= region.len())
    })
}

impl<T> Drop for DiskRing<T> {
    fn drop(&mut self) {
        self.drain();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::fd::AsFd as _;

    use vm_memory::{Bytes as _, GuestAddress};

    use super::*;
    use crate::memory::map;

    const BLOCK: u64 = 4096;

    /// A file whose every block is full of its number.
    fn disk(blocks: u8) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        for number in 0..blocks {
            file.write_all(&[number; 4096]).unwrap();
        }
        file
    }

    fn slices(memory: &Memory, at: u64) -> GuestSlices<'_> {
        let mut slices = GuestSlices::default();
        let block = usize::try_from(BLOCK).unwrap();
        slices.push(&memory.get_slice(GuestAddress(at), block).unwrap());
        slices
    }

    fn ring(file: &tempfile::NamedTempFile) -> Option<DiskRing<u64>> {
        match DiskRing::new(file.as_file().as_fd()) {
            Ok(ring) => Some(ring),
            Err(error) => {
                eprintln!("skipped: this host gives no io_uring: {error}");
                None
            }
        }
    }

    #[test]
    fn as_many_as_there_is_room_for_are_under_way_at_once() {
        let file = disk(65);
        let memory = map(&[(0, 1 << 20)]).unwrap();
        let Some(mut ring) = ring(&file) else { return };
        for number in 0..u64::from(DEPTH) {
            let slices = slices(&memory, number * BLOCK);
            ring.start(number, Direction::Read, &slices, number * BLOCK, &memory)
                .unwrap();
        }
        let one_more = slices(&memory, 0);
        let refused = ring.start(99, Direction::Read, &one_more, 0, &memory);
        assert_eq!(refused, Err(99));
        let mut done = Vec::new();
        while done.len() < DEPTH as usize {
            ring.answered.read().unwrap();
            while let Some((number, moved)) = ring.next_done() {
                assert_eq!(moved, Ok(4096));
                done.push(number);
            }
        }
        done.sort_unstable();
        assert!(done.into_iter().eq(0..u64::from(DEPTH)));
        for number in 0..u64::from(DEPTH) {
            let byte: u8 = memory
                .read_obj(GuestAddress(number * BLOCK + 4095))
                .unwrap();
            assert_eq!(u64::from(byte), number);
        }
    }

    #[test]
    fn what_is_not_of_the_memory_is_refused() {
        let file = disk(1);
        let [memory, other] = [(), ()].map(|()| map(&[(0, 1 << 20)]).unwrap());
        let Some(mut ring) = ring(&file) else { return };
        let slices = slices(&other, 0);
        let refused = ring.start(7, Direction::Read, &slices, 0, &memory);
        assert_eq!(refused, Err(7));
    }

    #[test]
    fn the_ring_does_nothing_but_read_and_write_its_disk() {
        let file = disk(1);
        let Some(mut ring) = ring(&file) else { return };
        let other = types::Fd(file.as_file().as_raw_fd());
        let nothing = iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        for entry in [
            opcode::Nop::new().build(),
            opcode::Readv::new(other, &raw const nothing, 1).build(),
        ] {
            // SAFETY: no memory is named but `nothing`, which outlives the wait.
            unsafe { ring.ring.submission().push(&entry) }.unwrap();
            ring.ring.submit_and_wait(1).unwrap();
            let done = ring.ring.completion().next().unwrap();
            assert_eq!(done.result(), -libc::EACCES);
        }
        let refused = ring.ring.submitter().unregister_files().unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EACCES));
    }

    #[test]
    fn a_ring_goes_once_nothing_is_under_way() {
        let file = disk(4);
        let memory = map(&[(0, 1 << 20)]).unwrap();
        let Some(mut ring) = ring(&file) else { return };
        for number in 0..4 {
            let slices = slices(&memory, number * BLOCK);
            ring.start(number, Direction::Read, &slices, number * BLOCK, &memory)
                .unwrap();
        }
        drop(ring);
        for number in 0..4_u8 {
            let at = GuestAddress(u64::from(number) * BLOCK);
            assert_eq!(memory.read_obj::<u8>(at).unwrap(), number);
        }
    }
}
