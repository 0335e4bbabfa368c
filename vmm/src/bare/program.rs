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

use goblin::elf::Header;
use goblin::elf::header::ET_EXEC;
use goblin::elf::program_header::{PF_R, PF_W, PF_X, PT_GNU_STACK, PT_LOAD, ProgramHeader};

use super::address_space::Protection;
use super::elf_headers::Headers;
use crate::bare::layout;
use crate::memory::PAGE;

pub use super::not_a_program::NotAProgram;

/// A file that cannot be run as the guest's program.
#[derive(Debug, thiserror::Error)]
#[error("program {}", path.display())]
pub struct ProgramError {
    path: PathBuf,
    #[source]
    reason: NotAProgram,
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

    /// Checks that the file at `path` is an x86-64 program that needs no dynamic linker. Whether
    /// its segments can be loaded is for the kernel to say that runs the program.
    ///
    /// # Errors
    /// The file cannot be read, or is no static x86-64 program.
    pub fn check_kind(path: &Path) -> Result<(), ProgramError> {
        let checked = open(path).and_then(|(file, _)| {
            let headers = Headers::read(&mut |offset, length| read_part(&file, offset, length))?;
            headers.check_static()
        });
        checked.map_err(|reason| ProgramError {
            path: path.to_owned(),
            reason,
        })
    }

    fn read(path: &Path) -> Result<Self, NotAProgram> {
        let (file, length) = open(path)?;
        let image = Image::parse(length, &mut |offset, length| {
            read_part(&file, offset, length)
        })?;
        Ok(Self { file, image })
    }
}

/// Opens a regular file, and tells its length in bytes.
fn open(path: &Path) -> Result<(File, u64), NotAProgram> {
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
    Ok((file, metadata.len()))
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
        let headers = Headers::read(read_at)?;
        headers.check_static()?;
        let Headers { header, headers } = headers;
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

/// The loadable segments, with the file's own addresses.
fn check_segments(
    headers: &[ProgramHeader],
    file_length: u64,
) -> Result<Vec<Segment>, NotAProgram> {
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
