#![expect(
    unsafe_code,
    reason = "hands guest memory to the host's io_uring until the host is done"
)]
//! Reads and writes of a disk that bypass the host's page cache, several at once: an `io_uring(7)`
//! for each disk.
//!
//! The VMM's seccomp filter does not see what an `io_uring` does. So each ring is restricted before
//! its first use (`IORING_REGISTER_RESTRICTIONS`, `io_uring_register(2)`): the ring reads and
//! writes the file with which it was made, and takes no other registration. The filter prevents a
//! second ring.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use io_uring::squeue::Flags;
use io_uring::{IoUring, opcode, register::Restriction, types};
use nix::errno::Errno;
use nix::libc::{self, iovec};
use vm_memory::{GuestMemoryBackend as _, GuestMemoryRegion as _};
use vmm_sys_util::eventfd::EventFd;

use super::disk::Durability;
use super::host_io::GuestSlices;
use crate::memory::Memory;

/// The most requests under way at once. A virtqueue has more entries; requests beyond the limit are
/// served in the exit that announces them.
pub const DEPTH: u32 = 64;

/// What the host does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// The host moves bytes from the disk.
    Read,
    /// The host moves bytes to the disk.
    Write(Durability),
}

/// A request that the host works on, and everything that must stay valid meanwhile.
struct UnderWay<T> {
    request: T,
    /// The list that the host was given. The host may read the list until the request is done.
    _pieces: Vec<iovec>,
    /// The memory in which the pieces lie.
    _memory: Memory,
}

/// A ring for one disk. `T` is the caller's own description of a request.
pub struct DiskRing<T> {
    ring: IoUring,
    completions: EventFd,
    under_way: Vec<Option<UnderWay<T>>>,
}

// SAFETY: the pieces are addresses in guest memory, which all threads may use and which each
// request keeps mapped. Nothing else here belongs to a thread.
unsafe impl<T: Send> Send for DiskRing<T> {}

impl<T> std::fmt::Debug for DiskRing<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DiskRing").finish_non_exhaustive()
    }
}

impl<T> DiskRing<T> {
    /// Makes a ring for `disk`. The ring keeps the disk open.
    ///
    /// # Errors
    /// The host has no `io_uring` (Linux before 5.10), or refuses one to this process
    /// (`kernel.io_uring_disabled`).
    pub fn new(disk: BorrowedFd<'_>) -> io::Result<Self> {
        let completions = EventFd::new(libc::EFD_CLOEXEC)?;
        let ring = IoUring::builder().setup_r_disabled().build(DEPTH)?;
        let submitter = ring.submitter();
        submitter.register_files(&[disk.as_raw_fd()])?;
        submitter.register_eventfd(completions.as_raw_fd())?;
        submitter.register_restrictions(&mut [
            Restriction::sqe_op(opcode::Readv::CODE),
            Restriction::sqe_op(opcode::Writev::CODE),
            Restriction::sqe_flags_required(Flags::FIXED_FILE.bits()),
        ])?;
        submitter.register_enable_rings()?;
        Ok(Self {
            ring,
            completions,
            under_way: (0..DEPTH).map(|_| None).collect(),
        })
    }

    /// A descriptor that can be read once a request is done.
    ///
    /// # Errors
    /// The host has no descriptor left.
    pub fn completions(&self) -> io::Result<EventFd> {
        self.completions.try_clone()
    }

    /// Starts to move the bytes of `slices`, which lie in `memory`, at `offset` of the disk.
    ///
    /// # Errors
    /// There is no room for one more request, or the slices lie in other memory. The caller gets
    /// the request back.
    ///
    /// # Panics
    /// Never: the ring has an entry for each slot.
    pub fn start(
        &mut self,
        request: T,
        operation: Operation,
        slices: &GuestSlices<'_>,
        offset: u64,
        memory: &Memory,
    ) -> Result<(), T> {
        let pieces = slices.left();
        let free = self.under_way.iter().position(Option::is_none);
        let free = free.filter(|_| pieces.iter().all(|piece| is_within(memory, piece)));
        let (Some(slot), Ok(count)) = (free, u32::try_from(pieces.len())) else {
            return Err(request);
        };
        let disk = types::Fixed(0);
        let entry = match operation {
            Operation::Read => opcode::Readv::new(disk, pieces.as_ptr(), count)
                .offset(offset)
                .build(),
            Operation::Write(durability) => opcode::Writev::new(disk, pieces.as_ptr(), count)
                .offset(offset)
                .rw_flags(match durability {
                    Durability::Deferred => 0,
                    Durability::Immediate => libc::RWF_DSYNC,
                })
                .build(),
        };
        let entry = entry.user_data(slot as u64);
        self.under_way[slot] = Some(UnderWay {
            request,
            _pieces: pieces,
            _memory: memory.clone(),
        });
        // SAFETY: `under_way` keeps the list of pieces and the memory in which they lie
        // (`is_within`) until the host reports that the request is done, and `Drop` waits for all
        // reports. A slot is free only after its report, so there are as many entries as slots.
        unsafe { self.ring.submission().push(&entry) }.expect("an entry for each slot");
        // A request that the host doesn't take now is taken with the next one.
        let _ = self.ring.submit();
        Ok(())
    }

    /// The next request that is done, with the number of bytes that were moved.
    pub fn next_done(&mut self) -> Option<(T, Result<usize, Errno>)> {
        let done = self.ring.completion().next()?;
        let slot = usize::try_from(done.user_data()).ok()?;
        let UnderWay { request, .. } = self.under_way.get_mut(slot)?.take()?;
        let moved = usize::try_from(done.result());
        Some((request, moved.map_err(|_| Errno::from_raw(-done.result()))))
    }

    /// Waits until no request is under way, and forgets the requests.
    pub fn drain(&mut self) {
        while self.under_way.iter().any(Option::is_some) {
            let _ = self.ring.submit_and_wait(1);
            while self.next_done().is_some() {}
        }
    }
}

/// Whether all of a piece lies in guest memory.
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

    use isobench_testing::{Need, or_skip};
    use vm_memory::{Bytes as _, GuestAddress};

    use super::*;
    use crate::memory::map;

    const BLOCK: u64 = 4096;

    /// A file of which each byte is the number of its block.
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
        or_skip(Need::IoUring, DiskRing::new(file.as_file().as_fd()))
    }

    #[test]
    fn as_many_as_there_is_room_for_are_under_way_at_once() {
        let file = disk(65);
        let memory = map(&[(0, 1 << 20)]).unwrap();
        let Some(mut ring) = ring(&file) else { return };
        for number in 0..u64::from(DEPTH) {
            let slices = slices(&memory, number * BLOCK);
            ring.start(number, Operation::Read, &slices, number * BLOCK, &memory)
                .unwrap();
        }
        let one_more = slices(&memory, 0);
        let refused = ring.start(99, Operation::Read, &one_more, 0, &memory);
        assert_eq!(refused, Err(99));
        let mut done = Vec::new();
        while done.len() < DEPTH as usize {
            ring.completions.read().unwrap();
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
    fn a_piece_of_other_memory_is_refused() {
        let file = disk(1);
        let [memory, other] = [(), ()].map(|()| map(&[(0, 1 << 20)]).unwrap());
        let Some(mut ring) = ring(&file) else { return };
        let slices = slices(&other, 0);
        let refused = ring.start(7, Operation::Read, &slices, 0, &memory);
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
            ring.start(number, Operation::Read, &slices, number * BLOCK, &memory)
                .unwrap();
        }
        drop(ring);
        for number in 0..4_u8 {
            let at = GuestAddress(u64::from(number) * BLOCK);
            assert_eq!(memory.read_obj::<u8>(at).unwrap(), number);
        }
    }
}
