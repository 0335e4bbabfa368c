#![expect(unsafe_code, reason = "gives guest memory to the VM")]
//! The Linux guest's memory: one mapping below the hole for devices, and one above 4 GiB for what is left.
//!
//! As with the bare guest the mappings are private, anonymous, populated on demand and named `guest-ram`. They are
//! vm-memory's own types, since the kernel loader and the virtqueues want those: every access of theirs is checked.

use std::io;

use bytesize::ByteSize;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::VmFd;
use vm_memory::{
    GuestAddress, GuestMemoryBackend as _, GuestMemoryMmap, GuestMemoryRegion as _,
    GuestRegionMmap, MmapRegion,
};

use super::layout;
use crate::kvm::KvmError;
use crate::memory::{PAGE, RamError, name_as_guest_ram};

/// Guest memory as the devices see it.
pub type Memory = GuestMemoryMmap<()>;

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

fn region(start: u64, length: u64) -> Result<GuestRegionMmap<()>, RamError> {
    let failed = |source| RamError::Map {
        size: ByteSize(length),
        source,
    };
    let bytes = usize::try_from(length).map_err(|error| failed(io::Error::other(error)))?;
    let region = MmapRegion::new(bytes).map_err(|error| failed(io::Error::other(error)))?;
    name_as_guest_ram(region.as_ptr(), bytes);
    GuestRegionMmap::new(region, GuestAddress(start))
        .ok_or_else(|| failed(io::Error::other("it ends past the address space")))
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
            userspace_addr: region.get_mmap().as_ptr() as u64,
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
    use super::*;

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
