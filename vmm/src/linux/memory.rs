#![expect(unsafe_code, reason = "aligns guest memory, and gives it to the VM")]
//! The Linux guest's memory: one mapping below the hole for devices, and one above 4 GiB for what is left.
//!
//! As with the bare guest the mappings are private, anonymous, populated on demand and named `guest-ram`. They are read and
//! written through vm-memory, since the kernel loader and the virtqueues want that: every access of theirs is checked.
//!
//! Each begins at a multiple of a huge page, and asks for them. Whether there are any is the host's choice (`transparent_hugepage`,
//! in the kernel's admin-guide/mm), but only where the guest's and the host's addresses agree to the huge page can KVM map one
//! as such: a guest whose 28 MiB come in one page fault for 2 MiB each, not for 4 KiB, leaves for the host far less often.

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

use super::layout;
use crate::kvm::KvmError;
use crate::memory::{PAGE, RamError, name_as_guest_ram};

/// Guest memory as the devices see it.
pub type Memory = GuestRegionCollection<Region>;

/// Bytes in a huge page (x86-64).
const HUGE_PAGE: usize = 2 << 20;

/// The least that a kernel, its tables and a program can do with.
pub const LEAST: ByteSize = ByteSize::mib(16);

/// Checks that a guest can have this much memory on this host.
///
/// # Errors
/// Too little for any kernel, not whole pages, or more than the host has.
pub fn check_size(size: ByteSize) -> Result<(), RamError> {
    let host = nix::sys::sysinfo::sysinfo().map_or(u64::MAX, |host| host.ram_total());
    if size < LEAST || !size.as_u64().is_multiple_of(PAGE) {
        return Err(RamError::LinuxSize(size));
    }
    if size.as_u64() > host {
        return Err(RamError::MoreThanHost {
            size,
            host: ByteSize(host),
        });
    }
    Ok(())
}

/// Maps `size` bytes.
///
/// # Errors
/// The host refuses the mapping.
pub fn map(size: ByteSize) -> Result<Memory, RamError> {
    let regions = ranges(size)
        .into_iter()
        .map(|(start, length)| region(start, length))
        .collect::<Result<Vec<_>, _>>()?;
    Memory::from_regions(regions).map_err(|error| RamError::Map {
        size,
        source: io::Error::other(error),
    })
}

/// Guest addresses and lengths of the pieces that `size` bytes fall into.
pub fn ranges(size: ByteSize) -> Vec<(u64, u64)> {
    let low = size.as_u64().min(layout::DEVICE_HOLE.start);
    let mut ranges = vec![(0, low)];
    if size.as_u64() > low {
        ranges.push((layout::DEVICE_HOLE.end, size.as_u64() - low));
    }
    ranges
}

fn region(start: u64, length: u64) -> Result<Region, RamError> {
    Region::map(GuestAddress(start), length).map_err(|source| RamError::Map {
        size: ByteSize(length),
        source,
    })
}

/// One of its mappings.
#[derive(Debug)]
pub struct Region {
    /// The part from the first huge page on. It must go before what it is a part of.
    aligned: GuestRegionMmap<()>,
    _mapping: Option<MmapRegion<()>>,
}

impl From<GuestRegionMmap<()>> for Region {
    /// A mapping that somebody else has made, wherever it begins.
    fn from(region: GuestRegionMmap<()>) -> Self {
        Self {
            aligned: region,
            _mapping: None,
        }
    }
}

impl Region {
    fn map(start: GuestAddress, length: u64) -> io::Result<Self> {
        let size = usize::try_from(length).map_err(io::Error::other)?;
        let room = size
            .checked_add(HUGE_PAGE)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        let mapping = MmapRegion::<()>::new(room).map_err(io::Error::other)?;
        name_as_guest_ram(mapping.as_ptr(), room);
        let skipped = mapping.as_ptr().align_offset(HUGE_PAGE);
        // SAFETY: less than a huge page is skipped, for which there is room, so that this is a part of `mapping`; which lives
        // as long, as the other field.
        let aligned = unsafe {
            MmapRegion::build_raw(
                mapping.as_ptr().wrapping_add(skipped),
                size,
                mapping.prot(),
                mapping.flags(),
            )
        };
        let aligned = aligned.map_err(io::Error::other)?;
        ask_for_huge_pages(&aligned);
        let aligned = GuestRegionMmap::new(aligned, start)
            .ok_or_else(|| io::Error::other("it ends past the address space"))?;
        Ok(Self {
            aligned,
            _mapping: Some(mapping),
        })
    }

    /// Where it begins in the VMM.
    pub fn host_base(&self) -> *mut u8 {
        self.aligned.as_ptr()
    }
}

/// Asks for huge pages (madvise(2), `MADV_HUGEPAGE`), as many hosts give them only to who asks. A host without them refuses,
/// and the guest has small ones.
fn ask_for_huge_pages(mapping: &MmapRegion<()>) {
    // SAFETY: the advice changes no content, and the range is the mapping's own.
    unsafe { libc::madvise(mapping.as_ptr().cast(), mapping.size(), libc::MADV_HUGEPAGE) };
}

impl GuestMemoryRegion for Region {
    type B = ();

    fn len(&self) -> GuestUsize {
        self.aligned.len()
    }

    fn start_addr(&self) -> GuestAddress {
        self.aligned.start_addr()
    }

    /// Which pages are written to is nobody's business.
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

/// Fills `into` piece by piece with what `read_next` reads into the rest of it, up to where that reads nothing, and gives the
/// bytes: vm-memory asks a reader once for each region.
///
/// # Errors
/// That of `read_next`.
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

/// Makes `memory` the VM's.
///
/// # Errors
/// KVM refuses.
pub fn attach(memory: &Memory, vm: &VmFd) -> Result<(), KvmError> {
    for (slot, region) in (0..).zip(memory.iter()) {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: region.host_base() as u64,
        };
        // SAFETY: the mapping is as long as said, and KVM touches it only inside `KVM_RUN`, which nobody calls once it
        // is gone: the board, which every vCPU's thread shares, owns it.
        unsafe { vm.set_user_memory_region(region) }
            .map_err(KvmError::from_ioctl("KVM_SET_USER_MEMORY_REGION"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use procfs::process::{Process, VmFlags};
    use vm_memory::Bytes as _;

    use super::*;

    #[test]
    fn memory_begins_at_a_huge_page_and_can_be_used_to_its_end() {
        let memory = map(ByteSize::mib(17)).unwrap();
        let start = memory.get_host_address(GuestAddress(0)).unwrap();
        assert_eq!(start.align_offset(HUGE_PAGE), 0);
        memory
            .write_obj(7_u8, GuestAddress((17 << 20) - 1))
            .unwrap();
        assert_eq!(
            memory.read_obj::<u8>(GuestAddress((17 << 20) - 1)).unwrap(),
            7
        );
        memory.write_obj(7_u8, GuestAddress(17 << 20)).unwrap_err();
    }

    #[test]
    fn memory_asks_for_huge_pages() {
        if !Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            println!("skipped: this host's kernel has no transparent huge pages");
            return;
        }
        let memory = map(ByteSize::mib(16)).unwrap();
        let start = memory.get_host_address(GuestAddress(0)).unwrap() as u64;
        let maps = Process::myself().unwrap().smaps().unwrap();
        let mut maps = maps.iter();
        let map = maps.find(|map| (map.address.0..map.address.1).contains(&start));
        assert!(map.unwrap().extension.vm_flags.contains(VmFlags::HG));
    }

    #[test]
    fn memory_leaves_the_hole_for_devices_free() {
        assert_eq!(ranges(ByteSize::mib(128)), [(0, 128 << 20)]);
        assert_eq!(
            ranges(ByteSize::gib(4)),
            [(0, 0xd000_0000), (1 << 32, 0x3000_0000)]
        );
    }

    #[test]
    fn memory_that_cannot_be_is_refused_with_its_size() {
        let refused = |size| check_size(size).unwrap_err().to_string();
        assert!(refused(ByteSize::mib(1)).contains("1.0 MiB"));
        assert!(refused(ByteSize(LEAST.as_u64() + 1)).contains("4 KiB pages"));
        assert!(refused(ByteSize::tib(900)).contains("more than this host"));
        check_size(LEAST).unwrap();
    }
}
