#![expect(unsafe_code, reason = "aligns guest memory, and gives it to the VM")]
//! Guest memory as devices see it: one or more mappings of the VMM's, each at a guest address.
//!
//! The mappings are private and anonymous, named `guest-ram`, and the host gives a page when
//! somebody first touches it. The kernel loader and the virtqueues access guest memory through
//! vm-memory, which checks every access.
//!
//! Each mapping begins at a multiple of a huge page and asks the host for huge pages. The host
//! decides whether there are any (`transparent_hugepage` in the kernel's admin-guide/mm). KVM can
//! map a huge page as such only if the guest's address and the host's agree modulo its size. A
//! guest that touches 28 MiB then leaves for the host once for 2 MiB, and not once for 4 KiB.

use std::io;

use bytesize::ByteSize;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::bitmap::{BS, BitmapSlice};
use vm_memory::guest_memory::Result as MemoryResult;
use vm_memory::{
    GuestAddress, GuestMemoryBackend as _, GuestMemoryRegion, GuestMemoryRegionBytes,
    GuestRegionCollection, GuestRegionMmap, GuestUsize, MemoryRegionAddress, MmapRegion,
    VolatileMemoryError, VolatileSlice,
};

use crate::kvm::KvmError;

/// Bytes in a page, of the guest and of the host (x86-64).
pub const PAGE: u64 = 4096;

/// The name of guest memory in `/proc/PID/smaps` (`[anon:guest-ram]`). A memory measurement tells
/// guest memory from the VMM's own pages by this name.
pub const RAM_NAME: &std::ffi::CStr = c"guest-ram";

/// Bytes in a huge page (x86-64).
const HUGE_PAGE: usize = 2 << 20;

/// Guest memory: all its regions.
pub type Memory = GuestRegionCollection<Region>;

/// The host refused address space for guest memory.
#[derive(Debug, thiserror::Error)]
#[error("mapping {size} of guest memory")]
pub struct MemoryError {
    /// The size asked for.
    pub size: ByteSize,
    /// The host's answer.
    pub source: io::Error,
}

/// Maps regions, each given by its guest address and its length in bytes.
///
/// # Errors
/// The host refuses a mapping, or regions overlap.
pub fn map(regions: &[(u64, u64)]) -> Result<Memory, MemoryError> {
    let mapped = regions
        .iter()
        .map(|&(start, length)| {
            Region::map(GuestAddress(start), length).map_err(|source| MemoryError {
                size: ByteSize(length),
                source,
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    Memory::from_regions(mapped).map_err(|error| MemoryError {
        size: ByteSize(regions.iter().map(|(_, length)| length).sum()),
        source: io::Error::other(error),
    })
}

/// One mapping of guest memory.
#[derive(Debug)]
pub struct Region {
    /// The part from the first huge page on. It must be dropped before the whole mapping.
    aligned: GuestRegionMmap<()>,
    _whole: Option<MmapRegion<()>>,
}

impl From<GuestRegionMmap<()>> for Region {
    /// Takes a mapping that somebody else has made, aligned or not.
    fn from(region: GuestRegionMmap<()>) -> Self {
        Self {
            aligned: region,
            _whole: None,
        }
    }
}

impl Region {
    fn map(start: GuestAddress, length: u64) -> io::Result<Self> {
        let size = usize::try_from(length).map_err(io::Error::other)?;
        let room = size
            .checked_add(HUGE_PAGE)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let whole = MmapRegion::<()>::new(room).map_err(io::Error::other)?;
        name_as_guest_ram(whole.as_ptr(), room);
        let skipped = whole.as_ptr().align_offset(HUGE_PAGE);
        // SAFETY: less than a huge page is skipped, and `whole` has room for one more. So the
        // result is a part of `whole`, which lives as long, in the other field.
        let aligned = unsafe {
            MmapRegion::build_raw(
                whole.as_ptr().wrapping_add(skipped),
                size,
                whole.prot(),
                whole.flags(),
            )
        };
        let aligned = aligned.map_err(io::Error::other)?;
        ask_for_huge_pages(&aligned);
        let aligned = GuestRegionMmap::new(aligned, start)
            .ok_or_else(|| io::Error::other("the region ends past the address space"))?;
        Ok(Self {
            aligned,
            _whole: Some(whole),
        })
    }

    /// The region's first byte in the VMM.
    pub fn host_base(&self) -> *mut u8 {
        self.aligned.as_ptr()
    }
}

/// Asks for huge pages (madvise(2), `MADV_HUGEPAGE`): many hosts give them only to a program that
/// asks. A host without huge pages refuses, and the guest gets small ones.
fn ask_for_huge_pages(mapping: &MmapRegion<()>) {
    // SAFETY: the advice changes no content, and the range is the mapping's own.
    unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.size(), libc::MADV_HUGEPAGE) };
}

/// Names a mapping as guest memory. A kernel without `CONFIG_ANON_VMA_NAME` refuses; then the
/// mapping works without its name.
pub(crate) fn name_as_guest_ram(start: *mut u8, length: usize) {
    // SAFETY: a name changes no memory, the kernel refuses a range that isn't mapped, and it copies
    // the string.
    unsafe {
        libc::prctl(
            libc::PR_SET_VMA,
            libc::PR_SET_VMA_ANON_NAME,
            start,
            length,
            RAM_NAME.as_ptr(),
        )
    };
}

impl GuestMemoryRegion for Region {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.aligned.len()
    }

    fn start_addr(&self) -> GuestAddress {
        self.aligned.start_addr()
    }

    /// Nobody tracks which pages are written to.
    fn bitmap(&self) {}

    fn get_host_address(&self, at: MemoryRegionAddress) -> MemoryResult<*mut u8> {
        self.aligned.get_host_address(at)
    }

    fn get_slice(
        &self,
        at: MemoryRegionAddress,
        count: usize,
    ) -> MemoryResult<VolatileSlice<'_, BS<'_, ()>>> {
        self.aligned.get_slice(at, count)
    }
}

impl GuestMemoryRegionBytes for Region {}

/// Fills `into` piece by piece and returns how many bytes were filled. `read_next` reads into the
/// rest of `into`; reading stops where `read_next` reads nothing.
///
/// vm-memory asks a reader only once for each region, so a reader that reads less has to go on by
/// itself.
///
/// # Errors
/// Those of `read_next`.
pub fn fill<B: BitmapSlice>(
    into: &VolatileSlice<B>,
    mut read_next: impl FnMut(&VolatileSlice<B>) -> Result<usize, VolatileMemoryError>,
) -> Result<usize, VolatileMemoryError> {
    let mut done = 0;
    while done < into.len() {
        match read_next(&into.offset(done)?)? {
            0 => break,
            more => done += more,
        }
    }
    Ok(done)
}

/// Makes `memory` the VM's memory.
///
/// # Errors
/// KVM refuses.
///
/// # Safety
/// `memory` must stay mapped for as long as somebody may enter a vCPU of the VM.
pub(crate) unsafe fn attach(memory: &Memory, vm: &VmFd) -> Result<(), KvmError> {
    for (slot, region) in (0..).zip(memory.iter()) {
        // SAFETY: the mapping is as long as `region` says, and the caller keeps `memory`.
        unsafe {
            attach_mapping(
                vm,
                slot,
                region.start_addr().0,
                region.host_base(),
                region.len(),
            )?;
        };
    }
    Ok(())
}

/// Makes a mapping of the VMM's the VM's memory from `guest_address` on, as slot `slot`.
///
/// # Errors
/// KVM refuses.
///
/// # Safety
/// `length` bytes from `host` on must stay mapped for as long as somebody may enter a vCPU of the
/// VM, and Rust must not hold references to them.
pub(crate) unsafe fn attach_mapping(
    vm: &VmFd,
    slot: u32,
    guest_address: u64,
    host: *mut u8,
    length: u64,
) -> Result<(), KvmError> {
    let region = kvm_userspace_memory_region {
        slot,
        flags: 0,
        guest_phys_addr: guest_address,
        memory_size: length,
        userspace_addr: host as u64,
    };
    // SAFETY: KVM touches the memory only inside `KVM_RUN`, and the caller keeps it mapped until
    // the last one.
    unsafe { vm.set_user_memory_region(region) }
        .map_err(KvmError::from_ioctl("KVM_SET_USER_MEMORY_REGION"))
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};
    use procfs::process::{Process, VmFlags};
    use vm_memory::Bytes as _;

    use super::*;

    const SIZE: u64 = 17 << 20;

    #[test]
    fn memory_begins_at_a_huge_page_and_can_be_used_to_its_end() {
        let memory = map(&[(0, SIZE)]).unwrap();
        let start = memory.get_host_address(GuestAddress(0)).unwrap();
        assert_eq!(start.align_offset(HUGE_PAGE), 0);
        memory.write_obj(7_u8, GuestAddress(SIZE - 1)).unwrap();
        let read: u8 = memory.read_obj(GuestAddress(SIZE - 1)).unwrap();
        assert_eq!(read, 7);
        memory.write_obj(7_u8, GuestAddress(SIZE)).unwrap_err();
    }

    #[test]
    fn memory_asks_for_huge_pages() {
        if lacks(Need::HugePages) {
            return;
        }
        let memory = map(&[(0, SIZE)]).unwrap();
        let start = memory.get_host_address(GuestAddress(0)).unwrap() as u64;
        let maps = Process::myself().unwrap().smaps().unwrap();
        let mut maps = maps.iter();
        let map = maps.find(|map| (map.address.0..map.address.1).contains(&start));
        assert!(map.unwrap().extension.vm_flags.contains(VmFlags::HG));
    }

    #[test]
    fn two_regions_leave_a_hole_between_them() {
        let memory = map(&[(0, SIZE), (1 << 32, SIZE)]).unwrap();
        memory.write_obj(7_u8, GuestAddress(1 << 32)).unwrap();
        memory.write_obj(7_u8, GuestAddress(SIZE)).unwrap_err();
    }
}
