//! The guest's kernel: an ELF `vmlinux` or a `bzImage`. This module checks the file when it opens
//! it, and linux-loader loads it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::ProgramHeader;
use goblin::elf::program_header::PT_LOAD;
use linux_loader::bootparam::setup_header;
use linux_loader::loader::bzimage::BzImage;
use linux_loader::loader::elf::Elf;
use linux_loader::loader::{self, KernelLoader as _};
use vm_memory::GuestAddress;

use crate::linux::layout::HIGH_MEMORY;
use crate::linux::sparse_file::SparseFile;
use crate::memory::Memory;

/// `HdrS`: every kernel with a boot protocol has these bytes at [`MAGIC_OFFSET`]
/// (Documentation/arch/x86/boot.rst).
const MAGIC: &[u8; 4] = b"HdrS";
const MAGIC_OFFSET: u64 = 0x202;
/// The first boot protocol whose header says whether a kernel has a 64-bit entry.
const PROTOCOL_2_12: u16 = 0x020c;
/// `XLF_KERNEL_64`: the kernel has a 64-bit entry, [`ENTRY_64`] bytes after its first byte.
const HAS_64_BIT_ENTRY: u16 = 1;
const ENTRY_64: u64 = 0x200;

/// A file can't be booted as a kernel.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The file can't be opened or read.
    #[error("opening kernel {}", path.display())]
    Open {
        /// The kernel's path.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// The file is no kernel.
    #[error("{} is no x86-64 Linux kernel: a vmlinux (ELF) or a bzImage is needed", .0.display())]
    NotAKernel(PathBuf),
    /// The file begins as a kernel does, but it is damaged.
    #[error("kernel {} can't be loaded: it is damaged", path.display())]
    Load {
        /// The kernel's path.
        path: PathBuf,
        /// The loader's error.
        source: loader::Error,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Elf,
    BzImage,
}

/// The open file of a kernel.
#[derive(Debug)]
pub struct Kernel {
    path: PathBuf,
    file: File,
    format: Format,
}

/// A kernel in guest memory.
#[derive(Debug, Clone, Copy)]
pub struct LoadedKernel {
    /// The address at which the processor starts, in 64-bit mode.
    pub entry: u64,
    /// One past the last byte that the kernel occupies before it knows the memory map.
    pub end: u64,
    /// The kernel's header, for the zero page.
    pub header: setup_header,
}

impl Kernel {
    /// Opens the file at `path` and checks that it begins as a kernel does.
    ///
    /// # Errors
    /// See [`KernelError`].
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        let path = path.to_owned();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(KernelError::Open { path, source }),
        };
        match format(&file) {
            Ok(Some(format)) => Ok(Self { path, file, format }),
            Ok(None) => Err(KernelError::NotAKernel(path)),
            Err(source) => Err(KernelError::Open { path, source }),
        }
    }

    /// One past the last byte of guest memory that the kernel needs before it knows the memory map, as
    /// far as its file says. The result is `None` if the file is damaged.
    pub fn end(&self) -> Option<u64> {
        match self.format {
            Format::Elf => elf_end(&self.file),
            Format::BzImage => {
                let size = self.file.metadata().ok()?.len();
                HIGH_MEMORY.checked_add(size)
            }
        }
    }

    /// Copies the kernel to its own addresses in `memory`. The memory must be fresh, since nothing
    /// is written for a hole in the kernel's file.
    ///
    /// # Errors
    /// [`KernelError::Load`].
    pub fn load(&self, memory: &Memory) -> Result<LoadedKernel, KernelError> {
        let low = Some(GuestAddress(HIGH_MEMORY));
        let mut file = SparseFile(&self.file);
        let loaded = match self.format {
            Format::Elf => Elf::load(memory, None, &mut file, low),
            Format::BzImage => BzImage::load(memory, None, &mut file, low),
        };
        let loaded = loaded.map_err(|source| KernelError::Load {
            path: self.path.clone(),
            source,
        })?;
        let start = loaded.kernel_load.0;
        Ok(match loaded.setup_header {
            Some(header) => LoadedKernel {
                entry: start + ENTRY_64,
                end: loaded.kernel_end.max(unpacked_end(&header)),
                header,
            },
            None => LoadedKernel {
                entry: start,
                end: loaded.kernel_end,
                header: setup_header::default(),
            },
        })
    }
}

/// The end of the last segment of an ELF file. Linkers put the program headers after the ELF header.
fn elf_end(file: &File) -> Option<u64> {
    let mut start = [0; 4096];
    let count = file.read_at(&mut start, 0).ok()?;
    let start = &start[..count];
    let header = goblin::elf::Elf::parse_header(start).ok()?;
    let offset = usize::try_from(header.e_phoff).ok()?;
    let context = Ctx::new(Container::Big, Endian::Little);
    let segments = ProgramHeader::parse(start, offset, header.e_phnum.into(), context).ok()?;
    let loaded = segments.iter().filter(|segment| segment.p_type == PT_LOAD);
    let ends = loaded.map(|segment| segment.p_paddr.checked_add(segment.p_memsz));
    ends.max().flatten()
}

/// The end of the memory into which a bzImage unpacks itself.
fn unpacked_end(header: &setup_header) -> u64 {
    let (address, size) = (header.pref_address, header.init_size);
    address.saturating_add(size.into())
}

/// The format of a kernel's file. The result is `None` if the file is no kernel for this machine.
fn format(file: &File) -> io::Result<Option<Format>> {
    let mut start = [0; 20];
    if !read_all(file, &mut start, 0)? {
        return Ok(None);
    }
    // A 64-bit little-endian program for x86-64 (ELF, EI_CLASS, EI_DATA, e_machine).
    if start.starts_with(b"\x7fELF\x02\x01") && start[18..] == [62, 0] {
        return Ok(Some(Format::Elf));
    }
    let mut header = [0; 0x36];
    if !read_all(file, &mut header, MAGIC_OFFSET)? || !header.starts_with(MAGIC) {
        return Ok(None);
    }
    let word = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    // Offsets of `version` and `xloadflags`.
    let is_64_bit = word(4) >= PROTOCOL_2_12 && word(0x34) & HAS_64_BIT_ENTRY != 0;
    Ok(is_64_bit.then_some(Format::BzImage))
}

/// Fills `into`. The result is `false` if the file has too few bytes.
fn read_all(file: &File, into: &mut [u8], offset: u64) -> io::Result<bool> {
    match file.read_exact_at(into, offset) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::linux::machine_tests::kernel_of;
    use crate::memory::map;

    fn opened(content: &[u8]) -> Result<Kernel, KernelError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        Kernel::open(file.path())
    }

    #[test]
    fn what_is_no_kernel_is_refused_by_name() {
        for content in [&b""[..], b"\x7fELF", b"#!/bin/sh\n", &[0; 4096]] {
            let error = opened(content).unwrap_err();
            assert!(matches!(error, KernelError::NotAKernel(_)), "{error}");
        }
        let error = Kernel::open(Path::new("/nonexistent/vmlinux")).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/vmlinux"));
        let error = Kernel::open(Path::new("/")).unwrap_err();
        assert!(matches!(error, KernelError::Open { .. }), "{error}");
    }

    #[test]
    fn a_kernel_without_a_64_bit_entry_is_refused() {
        let mut image = vec![0; 4096];
        image[0x202..0x206].copy_from_slice(MAGIC);
        image[0x206..0x208].copy_from_slice(&0x020f_u16.to_le_bytes());
        assert!(matches!(opened(&image), Err(KernelError::NotAKernel(_))));
        image[0x236] = 1;
        assert_eq!(opened(&image).unwrap().format, Format::BzImage);
    }

    #[test]
    fn an_elf_file_that_is_cut_off_at_any_byte_is_damaged() {
        let memory = map(&[(0, 16 << 20)]).unwrap();
        let whole = kernel_of(&[0xf4; 100]);
        for length in 20..whole.len() {
            let kernel = opened(&whole[..length]).unwrap();
            let error = kernel.load(&memory).unwrap_err();
            assert!(error.to_string().contains("damaged"), "{length}: {error}");
        }
        let kernel = opened(&whole).unwrap();
        let loaded = kernel.load(&memory).unwrap();
        assert_eq!(kernel.end(), Some(loaded.end));
        assert_eq!(
            (loaded.entry, loaded.end),
            (0x40_0078, 0x40_0000 + 0x78 + 100)
        );
    }
}
