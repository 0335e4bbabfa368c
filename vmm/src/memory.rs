#![expect(
    unsafe_code,
    reason = "maps files over guest RAM and gives pages back to the host"
)]
//! Guest RAM: one private, anonymous, lazily populated mapping, guest physical address 0 upwards.
//!
//! Nothing is reserved or touched ahead: the host gives a page when the guest or the VMM first touches
//! it. The mapping is named `guest-ram`, so that a memory measurement tells it from the VMM's own pages.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;

use bytesize::ByteSize;
use vm_memory::bitmap::BitmapSlice;
use vm_memory::volatile_memory::{VolatileArrayRef, VolatileSlice};
use vm_memory::{MmapRegion, VolatileMemory as _};

/// Bytes in a page, of the guest and of the host (x86-64).
pub const PAGE: u64 = 4096;

/// The name of the mapping in `/proc/PID/smaps` (`[anon:guest-ram]`).
pub const RAM_NAME: &std::ffi::CStr = c"guest-ram";

/// Guest RAM could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RamError {
    /// Too small to hold the trampoline and a program, too large for the address space, or not whole pages.
    #[error("guest memory of {0} is not between {min} and {max} in whole 4 KiB pages", min = GuestRam::MIN, max = GuestRam::MAX)]
    Size(ByteSize),
    /// Too small for a guest kernel, or not whole pages.
    #[error("guest memory of {0} is not at least {least} in whole 4 KiB pages, which a guest kernel needs", least = crate::linux::memory::LEAST)]
    LinuxSize(ByteSize),
    /// The host itself has less.
    #[error("guest memory of {size} is more than this host's {host}: ask for less")]
    MoreThanHost {
        /// The size asked for.
        size: ByteSize,
        /// What the host has.
        host: ByteSize,
    },
    /// mmap(2) refused.
    #[error("mapping {size} of guest memory")]
    Map {
        /// The size asked for.
        size: ByteSize,
        /// Why.
        source: io::Error,
    },
}

/// Guest RAM, mapped into the VMM.
///
/// The guest runs only inside `KVM_RUN`, on the thread that owns this, so while the VMM reads or writes
/// here, nobody else does. Accesses are volatile all the same: guest memory is not Rust's to reason about.
#[derive(Debug)]
pub struct GuestRam {
    region: MmapRegion,
}

impl GuestRam {
    /// Least RAM accepted.
    pub const MIN: ByteSize = ByteSize::mib(1);
    /// Most RAM accepted: it stays clear of the 32-bit MMIO hole's upper neighbours that KVM uses.
    pub const MAX: ByteSize = ByteSize::gib(512);

    /// Whether a guest can have this much RAM.
    ///
    /// # Errors
    /// A size out of range or not whole pages.
    pub fn check_size(size: ByteSize) -> Result<(), RamError> {
        let fits = (Self::MIN..=Self::MAX).contains(&size) && size.as_u64().is_multiple_of(PAGE);
        fits.then_some(()).ok_or(RamError::Size(size))
    }

    /// Maps `size` bytes.
    ///
    /// # Errors
    /// A size out of range or not whole pages; the host refuses the mapping.
    pub fn new(size: ByteSize) -> Result<Self, RamError> {
        Self::check_size(size)?;
        let bytes = usize::try_from(size.as_u64()).map_err(|_| RamError::Size(size))?;
        let region = MmapRegion::new(bytes).map_err(|error| RamError::Map {
            size,
            source: io::Error::other(error),
        })?;
        let ram = Self { region };
        ram.name(0, size.as_u64());
        Ok(ram)
    }

    /// Bytes of RAM.
    pub fn size(&self) -> u64 {
        self.region.size() as u64
    }

    /// Where guest physical address 0 lies in the VMM.
    pub fn host_base(&self) -> *mut u8 {
        self.region.as_ptr()
    }

    /// `length` bytes from guest physical address `at`.
    ///
    /// # Panics
    /// When that isn't inside RAM: frames come from the VMM's own allocator, never from the guest.
    pub fn slice(&self, at: u64, length: u64) -> VolatileSlice<'_, impl BitmapSlice + use<'_>> {
        self.region
            .get_slice(index(at), index(length))
            .expect("the frame allocator hands out frames inside RAM")
    }

    /// The page table at guest physical address `at`.
    ///
    /// # Panics
    /// When that isn't inside RAM, as [`Self::slice`].
    pub fn table(&self, at: u64) -> VolatileArrayRef<'_, u64, impl BitmapSlice + use<'_>> {
        self.region
            .get_array_ref(index(at), 512)
            .expect("page tables lie inside RAM")
    }

    /// Copies `bytes` to guest physical address `at`.
    pub fn write(&self, at: u64, bytes: &[u8]) {
        self.slice(at, bytes.len() as u64).copy_from(bytes);
    }

    /// Copies from guest physical address `at`.
    pub fn read(&self, at: u64, into: &mut [u8]) {
        self.slice(at, into.len() as u64).copy_to(into);
    }

    /// Makes the pages `at..at + length` zero again and gives them back to the host.
    ///
    /// KVM hears of it (MMU notifier) and drops every translation to these pages.
    ///
    /// # Errors
    /// The host's mmap(2) refuses, out of memory for its own bookkeeping.
    pub fn discard(&self, at: u64, length: u64, was_file: bool) -> io::Result<()> {
        let host = self.pages(at, length);
        if !was_file {
            // SAFETY: `host` is whole pages of our own anonymous mapping (checked by `pages`).
            return check(unsafe {
                libc::madvise(host.cast(), index(length), libc::MADV_DONTNEED)
            });
        }
        // SAFETY: as above; MAP_FIXED replaces pages of our own mapping with fresh ones of the same kind.
        let mapped = unsafe {
            libc::mmap(
                host.cast(),
                index(length),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        self.name(at, length);
        Ok(())
    }

    /// Puts `length` bytes of `file`, from `offset`, copy-on-write at guest physical address `at`.
    ///
    /// # Errors
    /// The host's mmap(2) refuses (a file that cannot be mapped).
    pub fn place_file(&self, at: u64, length: u64, file: &File, offset: u64) -> io::Result<()> {
        let host = self.pages(at, length);
        let offset = libc::off_t::try_from(offset).map_err(io::Error::other)?;
        // SAFETY: MAP_FIXED replaces whole pages of our own mapping (checked by `pages`), privately: the
        // guest's writes never reach the file.
        let mapped = unsafe {
            libc::mmap(
                host.cast(),
                index(length),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_FIXED,
                file.as_raw_fd(),
                offset,
            )
        };
        if mapped == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Makes KVM drop every translation to the pages `at..at + length`, keeping what they hold.
    ///
    /// KVM with shadow page tables doesn't see the VMM's own writes to guest page tables. Taking the
    /// host's write permission away for a moment fires the MMU notifier for exactly these pages.
    ///
    /// # Errors
    /// The host's mprotect(2) refuses, out of memory for its own bookkeeping.
    pub fn drop_translations(&self, at: u64, length: u64) -> io::Result<()> {
        let host = self.pages(at, length);
        for protection in [libc::PROT_NONE, libc::PROT_READ | libc::PROT_WRITE] {
            // SAFETY: whole pages of our own mapping; nothing reads or writes them between the two calls.
            check(unsafe { libc::mprotect(host.cast(), index(length), protection) })?;
        }
        Ok(())
    }

    /// Has the host put memory of our own behind the pages `at..at + length` now.
    ///
    /// KVM's shadow pager maps up to eight neighbours with the page that faulted, but only those that the host has
    /// ready for writing. A host that cannot (Linux before 5.14) just doesn't.
    pub fn populate(&self, at: u64, length: u64) {
        let host = self.pages(at, length);
        // SAFETY: whole pages of our own mapping; populating changes no contents.
        unsafe { libc::madvise(host.cast(), index(length), libc::MADV_POPULATE_WRITE) };
    }

    /// The host address of whole pages of RAM.
    fn pages(&self, at: u64, length: u64) -> *mut u8 {
        assert!(at.is_multiple_of(PAGE) && length.is_multiple_of(PAGE));
        self.slice(at, length).ptr_guard_mut().as_ptr()
    }

    fn name(&self, at: u64, length: u64) {
        name_as_guest_ram(self.pages(at, length), index(length));
    }
}

/// Names a mapping. Kernels without `CONFIG_ANON_VMA_NAME` refuse, and nothing is lost but the name.
pub(crate) fn name_as_guest_ram(start: *mut u8, length: usize) {
    // SAFETY: naming changes no memory, and a range that isn't mapped is refused; the kernel copies the string.
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

/// A guest physical quantity as an index into the mapping (x86-64: `usize` holds it).
fn index(value: u64) -> usize {
    usize::try_from(value).expect("a 64-bit host")
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
