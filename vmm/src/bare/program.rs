//! The file of a program: a static x86-64 ELF file, checked but not loaded yet.
//!
//! The VMM reads only the ELF header and the program headers, which goblin parses. A loader needs
//! no sections, symbols or relocations. All numbers in the file count as hostile until this module
//! has checked them.
//!
//! The checks are as lenient as Linux (`load_elf_binary` in `fs/binfmt_elf.c`) but for two. Linux
//! runs a program of whose segment whole pages lie past the end of the file, until the program
//! touches them; here such a file counts as truncated. And Linux starts a program whose entry point
//! is not in its code, though the program dies at once.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{
    EI_CLASS, EI_VERSION, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, EM_X86_64, ET_DYN, ET_EXEC,
    EV_CURRENT, header64,
};
use goblin::elf::program_header::{
    PF_R, PF_W, PF_X, PT_GNU_STACK, PT_INTERP, PT_LOAD, ProgramHeader, program_header64,
};
use goblin::elf::{Elf, Header};

use super::address_space::Protection;
use crate::bare::layout;
use crate::memory::PAGE;

/// The most bytes of program headers that Linux accepts (`load_elf_phdrs`).
const MOST_HEADER_BYTES: usize = 65_536;

/// A file that cannot be run as the guest's program.
#[derive(Debug, thiserror::Error)]
#[error("program {}", path.display())]
pub struct ProgramError {
    path: PathBuf,
    #[source]
    reason: NotAProgram,
}

/// Why a file is not a program for this guest.
#[derive(Debug, thiserror::Error)]
pub enum NotAProgram {
    /// The file cannot be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// The path leads to a directory, a pipe or a device.
    #[error("is not a regular file")]
    NotAFile,
    /// The file is no ELF file, or its header is cut off.
    #[error("is not an ELF program")]
    NotElf,
    /// The program is for another processor.
    #[error("is built for another processor: a 64-bit x86-64 program is needed")]
    OtherMachine,
    /// The file is a library, an object file or a core dump.
    #[error("is an ELF file but not a program (ELF type {0})")]
    NotExecutable(u16),
    /// The program needs a dynamic linker.
    #[error(
        "is dynamically linked: build it static (Rust: `-C target-feature=+crt-static`, C: `-static`)"
    )]
    Dynamic,
    /// The headers promise more than the file holds.
    #[error("is truncated: {what} ends past the end of the file")]
    Truncated {
        /// The part that is cut off.
        what: &'static str,
    },
    /// The headers contradict each other.
    #[error("is not a valid program: {0}")]
    Malformed(&'static str),
}

/// A part of the file that is to be mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The address in the program's memory.
    pub address: u64,
    /// The offset in the file. It agrees with `address` modulo a page.
    pub offset: u64,
    /// The bytes in the file.
    pub file_length: u64,
    /// The bytes in memory. Those past `file_length` are zero if the program may write there.
    pub length: u64,
    /// What the program may do with the memory.
    pub protection: Protection,
}

impl Segment {
    /// One past the last byte in memory.
    pub const fn end(&self) -> u64 {
        self.address + self.length
    }

    /// One past the last byte in memory that comes from the file.
    pub const fn file_end(&self) -> u64 {
        self.address + self.file_length
    }
}

/// The layout of a program in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The segments, in the file's order. Where two share a page, the page is the later segment's.
    pub segments: Vec<Segment>,
    /// What the program may do with its stack.
    pub stack: Protection,
    /// The address of the first instruction.
    pub entry: u64,
    /// The address of the program headers in memory (`AT_PHDR`), or 0 if they are not in memory.
    pub headers: u64,
    /// The number of program headers (`AT_PHNUM`).
    pub header_count: u16,
}

/// An open program file with its checked layout.
#[derive(Debug)]
pub struct Program {
    /// The open file.
    pub file: File,
    /// The program's layout.
    pub image: Image,
}

impl Program {
    /// Opens and checks the program at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or is not a static x86-64 program.
    pub fn open(path: &Path) -> Result<Self, ProgramError> {
        Self::read(path).map_err(|reason| ProgramError {
            path: path.to_owned(),
            reason,
        })
    }

    fn read(path: &Path) -> Result<Self, NotAProgram> {
        // Without O_NONBLOCK, the opening of a pipe would wait for a writer.
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(NotAProgram::Read)?;
        let metadata = file.metadata().map_err(NotAProgram::Read)?;
        if !metadata.is_file() {
            return Err(NotAProgram::NotAFile);
        }
        let mut read_at = |offset, length| read_part(&file, offset, length);
        let image = Image::parse(metadata.len(), &mut read_at)?;
        Ok(Self { file, image })
    }
}

/// Reads `length` bytes of `file`, or fewer at the file's end.
fn read_part(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut done = 0;
    while done < length {
        match file.read_at(&mut bytes[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

impl Image {
    /// Checks a file of `file_length` bytes. `read_at` takes an offset and the most bytes to read.
    ///
    /// # Errors
    /// See [`NotAProgram`].
    pub fn parse(
        file_length: u64,
        read_at: &mut dyn FnMut(u64, usize) -> io::Result<Vec<u8>>,
    ) -> Result<Self, NotAProgram> {
        // Linkers put the program headers after the ELF header, so that one read gets both.
        let start = read_at(0, 4096).map_err(NotAProgram::Read)?;
        let header = check_header(&start)?;
        let headers = read_headers(&header, &start, read_at)?;
        let segments = check_segments(&headers, file_length)?;
        let lowest = segments.iter().map(|segment| segment.address).min();
        let bias = match header.e_type {
            ET_EXEC => 0,
            _ => layout::PROGRAM.wrapping_sub(lowest.unwrap_or(0) & !(PAGE - 1)),
        };
        place(&header, segments, stack_protection(&headers), bias)
    }

    /// One past the last byte of the highest segment.
    pub fn end(&self) -> u64 {
        self.segments.iter().map(Segment::end).max().unwrap_or(0)
    }
}

/// Parses and checks the ELF header. Linux, too, takes class, byte order and version for granted:
/// a file for x86-64 that has other values there runs.
fn check_header(start: &[u8]) -> Result<Header, NotAProgram> {
    if start.len() < header64::SIZEOF_EHDR || !start.starts_with(b"\x7fELF") {
        return Err(NotAProgram::NotElf);
    }
    let mut bytes = start[..header64::SIZEOF_EHDR].to_vec();
    bytes[EI_CLASS..=EI_VERSION].copy_from_slice(&[ELFCLASS64, ELFDATA2LSB, EV_CURRENT]);
    let header = Elf::parse_header(&bytes).map_err(|_| NotAProgram::NotElf)?;
    if header.e_machine != EM_X86_64 {
        return Err(NotAProgram::OtherMachine);
    }
    if !matches!(header.e_type, ET_EXEC | ET_DYN) {
        return Err(NotAProgram::NotExecutable(header.e_type));
    }
    if usize::from(header.e_phentsize) != program_header64::SIZEOF_PHDR {
        // A program for x32 has the same machine, but the fields of a 32-bit file.
        return Err(match start[EI_CLASS] {
            ELFCLASS32 => NotAProgram::OtherMachine,
            _ => NotAProgram::Malformed("its program headers have an unknown size"),
        });
    }
    Ok(header)
}

fn read_headers(
    header: &Header,
    start: &[u8],
    read_at: &mut dyn FnMut(u64, usize) -> io::Result<Vec<u8>>,
) -> Result<Vec<ProgramHeader>, NotAProgram> {
    let count = usize::from(header.e_phnum);
    let length = count * program_header64::SIZEOF_PHDR;
    if count == 0 || length > MOST_HEADER_BYTES {
        return Err(NotAProgram::Malformed(
            "it has no program headers, or too many",
        ));
    }
    let truncated = NotAProgram::Truncated {
        what: "its program header table",
    };
    let near = usize::try_from(header.e_phoff)
        .ok()
        .and_then(|offset| start.get(offset..offset.checked_add(length)?));
    let far;
    let bytes = if let Some(near) = near {
        near
    } else {
        if i64::try_from(header.e_phoff).is_err() {
            return Err(truncated);
        }
        far = read_at(header.e_phoff, length).map_err(NotAProgram::Read)?;
        far.as_slice()
    };
    if bytes.len() < length {
        return Err(truncated);
    }
    let context = Ctx::new(Container::Big, Endian::Little);
    ProgramHeader::parse(bytes, 0, count, context).map_err(|_| truncated)
}

/// The loadable segments, with the file's own addresses.
fn check_segments(
    headers: &[ProgramHeader],
    file_length: u64,
) -> Result<Vec<Segment>, NotAProgram> {
    if headers.iter().any(|header| header.p_type == PT_INTERP) {
        return Err(NotAProgram::Dynamic);
    }
    let segments = headers
        .iter()
        .filter(|header| header.p_type == PT_LOAD && header.p_memsz > 0)
        .map(|header| check_segment(header, file_length))
        .collect::<Result<Vec<_>, _>>()?;
    if segments.is_empty() {
        return Err(NotAProgram::Malformed("it has nothing to load"));
    }
    Ok(segments)
}

fn check_segment(header: &ProgramHeader, file_length: u64) -> Result<Segment, NotAProgram> {
    let malformed = |what| Err(NotAProgram::Malformed(what));
    let file_end = header.p_offset.checked_add(header.p_filesz);
    // A mapped file goes on with zeros up to the end of its last page.
    let mapped = file_length.next_multiple_of(PAGE);
    if header.p_filesz > 0 && file_end.is_none_or(|end| end > mapped) {
        return Err(NotAProgram::Truncated { what: "a segment" });
    }
    let end = header.p_vaddr.checked_add(header.p_memsz);
    if end.is_none_or(|end| end > layout::USER_END) {
        return malformed("a segment lies outside the address space");
    }
    if header.p_filesz > header.p_memsz {
        return malformed("a segment has more bytes in the file than in memory");
    }
    if header.p_filesz > 0 && header.p_vaddr % PAGE != header.p_offset % PAGE {
        return malformed("a segment's address and file offset differ within a page");
    }
    let protection = Protection {
        read: header.p_flags & PF_R != 0,
        write: header.p_flags & PF_W != 0,
        execute: header.p_flags & PF_X != 0,
    };
    Ok(Segment {
        address: header.p_vaddr,
        offset: header.p_offset,
        file_length: header.p_filesz,
        length: header.p_memsz,
        protection,
    })
}

/// The permission of the stack. The last `PT_GNU_STACK` counts, as on Linux. A program without one
/// can't run code on its stack (Linux `arch/x86/include/asm/elf.h`, `elf_read_implies_exec`).
fn stack_protection(headers: &[ProgramHeader]) -> Protection {
    let wish = headers.iter().rfind(|header| header.p_type == PT_GNU_STACK);
    Protection {
        execute: wish.is_some_and(|header| header.p_flags & PF_X != 0),
        ..Protection::READ_WRITE
    }
}

/// Moves all addresses by `bias`, and finds the addresses of the entry and of the headers.
fn place(
    header: &Header,
    mut segments: Vec<Segment>,
    stack: Protection,
    bias: u64,
) -> Result<Image, NotAProgram> {
    for segment in &mut segments {
        segment.address = segment.address.wrapping_add(bias);
        let end = segment.address.checked_add(segment.length);
        if end.is_none_or(|end| end > layout::USER_END) {
            return Err(NotAProgram::Malformed(
                "it is too large for the address space",
            ));
        }
        if segment.address < layout::USER_START {
            return Err(NotAProgram::Malformed("a segment lies in the first 64 KiB"));
        }
    }
    let entry = header.e_entry.wrapping_add(bias);
    let is_code = |segment: &Segment| {
        let pages = segment.address & !(PAGE - 1)..segment.end().next_multiple_of(PAGE);
        segment.protection.execute && pages.contains(&entry)
    };
    if !segments.iter().any(is_code) {
        return Err(NotAProgram::Malformed("its entry point is not in its code"));
    }
    let headers = segments
        .iter()
        .rfind(|segment| {
            let from_start = header.e_phoff.checked_sub(segment.offset);
            from_start.is_some_and(|offset| offset < segment.file_length)
        })
        .map_or(0, |segment| {
            segment.address + (header.e_phoff - segment.offset)
        });
    Ok(Image {
        segments,
        stack,
        entry,
        headers,
        header_count: header.e_phnum,
    })
}
