#![expect(
    unsafe_code,
    reason = "maps files over guest RAM and gives pages back to the host"
)]
//! Guest RAM: one private, anonymous mapping, from guest physical address 0 upwards.
//!
//! Nothing is reserved or touched ahead: the host gives a page when the guest or the VMM first
//! touches it. Unlike [`crate::memory`]'s regions, single pages of this mapping are replaced, by
//! pages of a file and back.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::atomic::AtomicU32;

use bytesize::ByteSize;
use kvm_ioctls::VmFd;
use vm_memory::bitmap::BitmapSlice;
use vm_memory::volatile_memory::{VolatileArrayRef, VolatileSlice};
use vm_memory::{MmapRegion, VolatileMemory as _};

use crate::kvm::KvmError;
use crate::memory::{self, MemoryError, PAGE};

/// Guest RAM could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// The size is too small for the trampoline and a program, too large for the address space, or
    /// not in whole pages.
    #[error("guest memory of {0} is not between {min} and {max} in whole 4 KiB pages", min = GuestRam::MIN, max = GuestRam::MAX)]
    Size(ByteSize),
    /// The host refused the mapping.
    #[error(transparent)]
    Map(#[from] MemoryError),
}

/// Guest RAM, mapped into the VMM.
///
/// A guest with several vCPUs may read and write its RAM while the VMM does, on another thread. So
/// accesses are volatile: the compiler must not assume anything about guest memory, and whatever the
/// VMM has checked it must have read once. Memory is taken away from the guest only while no vCPU
/// runs (`GuestMode`).
#[derive(Debug)]
pub struct GuestRam {
    region: MmapRegion,
}

impl GuestRam {
    /// The least RAM that a guest can have.
    pub const MIN: ByteSize = ByteSize::mib(1);
    /// The most RAM that a guest can have: 39 bits of physical address, as consumer processors
    /// have.
    pub const MAX: ByteSize = ByteSize::gib(512);

    /// Checks that a guest can have `size` bytes of RAM.
    ///
    /// # Errors
    /// The size is out of range or not in whole pages.
    pub fn check_size(size: ByteSize) -> Result<(), RamError> {
        let fits = (Self::MIN..=Self::MAX).contains(&size) && size.as_u64().is_multiple_of(PAGE);
        fits.then_some(()).ok_or(RamError::Size(size))
    }

    /// Maps `size` bytes.
    ///
    /// # Errors
    /// The size is out of range or not in whole pages, or the host refuses the mapping.
    pub fn new(size: ByteSize) -> Result<Self, RamError> {
        Self::check_size(size)?;
        let bytes = usize::try_from(size.as_u64()).map_err(|_| RamError::Size(size))?;
        let region = MmapRegion::new(bytes).map_err(|error| MemoryError {
            size,
            source: io::Error::other(error),
        })?;
        let ram = Self { region };
        ram.name(0, size.as_u64());
        Ok(ram)
    }

    /// Makes this RAM the memory of `vm`.
    ///
    /// # Errors
    /// KVM refuses.
    ///
    /// # Safety
    /// The RAM must be kept for as long as somebody may enter a vCPU of the VM.
    pub(crate) unsafe fn attach(&self, vm: &VmFd) -> Result<(), KvmError> {
        // SAFETY: the mapping is as long as `size` says, no Rust reference leads there, and the
        // caller keeps the mapping.
        unsafe { memory::attach_mapping(vm, 0, 0, self.region.as_ptr(), self.size()) }
    }

    /// Bytes of RAM.
    pub fn size(&self) -> u64 {
        self.region.size() as u64
    }

    /// `length` bytes from guest physical address `at`.
    ///
    /// # Panics
    /// The range isn't inside RAM. Frames come from the VMM's own allocator, never from the guest.
    pub fn slice(&self, at: u64, length: u64) -> VolatileSlice<'_, impl BitmapSlice + use<'_>> {
        self.region
            .get_slice(index(at), index(length))
            .expect("the frame allocator hands out frames inside RAM")
    }

    /// The page table at guest physical address `at`.
    ///
    /// # Panics
    /// The table isn't inside RAM, as with [`Self::slice`].
    pub fn table(&self, at: u64) -> VolatileArrayRef<'_, u64, impl BitmapSlice + use<'_>> {
        self.region
            .get_array_ref(index(at), 512)
            .expect("page tables lie inside RAM")
    }

    /// The number of four bytes at guest physical address `at`. The result is `None` if `at` is not
    /// a multiple of four.
    ///
    /// # Panics
    /// The number isn't inside RAM, as with [`Self::slice`].
    pub fn number(&self, at: u64) -> Option<&AtomicU32> {
        at.is_multiple_of(4).then(|| {
            self.region
                .get_atomic_ref(index(at))
                .expect("the frame allocator hands out frames inside RAM")
        })
    }

    /// Copies `bytes` to guest physical address `at`.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.slice(at, bytes.len() as u64).copy_from(bytes);
    }

    /// Copies from guest physical address `at`.
    pub fn read(&self, at: u64, into: &mut [u8]) {
        self.slice(at, into.len() as u64).copy_to(into);
    }

    /// Gives the pages `at..at + length` back to the host (`MADV_DONTNEED`). Anonymous pages are
    /// zero afterwards, and pages of a file show the file again.
    ///
    /// The host tells KVM (MMU notifier), and KVM drops every translation to these pages.
    ///
    /// # Errors
    /// The host's madvise(2) refuses, out of memory for its own bookkeeping.
    pub fn discard(&self, at: u64, length: u64) -> io::Result<()> {
        let host = self.pages(at, length);
        // SAFETY: `host` is whole pages of this private mapping (checked by `pages`).
        check(unsafe { libc::madvise(host.cast(), index(length), libc::MADV_DONTNEED) })
    }

    /// Puts zero pages in place of a file's pages `at..at + length`.
    ///
    /// KVM drops every translation to these pages, as with [`Self::discard`].
    ///
    /// # Errors
    /// The host's mmap(2) refuses, out of memory for its own bookkeeping.
    pub fn remove_file(&self, at: u64, length: u64) -> io::Result<()> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        self.replace(at, length, flags, -1, 0)?;
        self.name(at, length);
        Ok(())
    }

    /// Puts `length` bytes of `file`, from `offset`, copy-on-write at guest physical address `at`.
    ///
    /// # Errors
    /// The host's mmap(2) refuses (a file that cannot be mapped).
    pub fn place_file(&self, at: u64, length: u64, file: &File, offset: u64) -> io::Result<()> {
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_FIXED;
        self.replace(at, length, flags, file.as_raw_fd(), offset)
    }

    /// Maps something else over the pages `at..at + length`. `flags` must hold `MAP_PRIVATE`.
    fn replace(
        &self,
        at: u64,
        length: u64,
        flags: libc::c_int,
        file: RawFd,
        offset: libc::off_t,
    ) -> io::Result<()> {
        let host = self.pages(at, length);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the call replaces whole pages of this mapping (checked by `pages`), to which no
        // Rust reference leads. The new ones are private: no write of the guest's reaches a file.
        let mapped = unsafe { libc::mmap(host.cast(), index(length), access, flags, file, offset) };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Makes KVM drop every translation to the pages `at..at + length`, whose contents stay.
    ///
    /// KVM with shadow page tables doesn't see the VMM's own writes to guest page tables. If the
    /// host's write permission goes for a moment, the MMU notifier fires for exactly these pages.
    ///
    /// # Errors
    /// The host's mprotect(2) refuses, out of memory for its own bookkeeping.
    pub fn drop_translations(&self, at: u64, length: u64) -> io::Result<()> {
        let host = self.pages(at, length);
        for protection in [libc::PROT_NONE, libc::PROT_READ | libc::PROT_WRITE] {
            // SAFETY: these are whole pages of this mapping, and nobody reads or writes them
            // between the two calls: no vCPU is in the guest, and the VMM's threads do so one after
            // the other.
            check(unsafe { libc::mprotect(host.cast(), index(length), protection) })?;
        }
        Ok(())
    }

    /// Makes the host put memory of the VMM's own behind the pages `at..at + length` at once.
    ///
    /// KVM's shadow pager maps up to eight neighbours together with the page that faulted, but only
    /// neighbours that the host has ready for writing. A host without this advice (Linux before
    /// 5.14) ignores the call.
    pub fn populate(&self, at: u64, length: u64) {
        let host = self.pages(at, length);
        // SAFETY: these are whole pages of this mapping, and populating changes no contents.
        unsafe { libc::madvise(host.cast(), index(length), libc::MADV_POPULATE_WRITE) };
    }

    /// The host address of whole pages of RAM.
    fn pages(&self, at: u64, length: u64) -> *mut u8 {
        assert!(at.is_multiple_of(PAGE) && length.is_multiple_of(PAGE));
        self.slice(at, length).ptr_guard_mut().as_ptr()
    }

    fn name(&self, at: u64, length: u64) {
        memory::name_as_guest_ram(self.pages(at, length), index(length));
    }
}

/// A guest physical quantity as an index into the mapping. On x86-64, `usize` holds every one.
fn index(value: u64) -> usize {
    usize::try_from(value).expect("a 64-bit host")
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
