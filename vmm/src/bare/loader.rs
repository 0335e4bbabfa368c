#![expect(
    unsafe_code,
    reason = "getrandom(2) has no safe wrapper among the dependencies"
)]
//! Puts a checked program into an address space, with its stack.
//!
//! The program's whole pages are mapped from the file into guest RAM, copy-on-write. So nothing is
//! copied, pages that the program never touches are never read, and all instances share the page
//! cache.

use std::io;

use bytesize::ByteSize;

use super::address_space::{AddressSpace, Backing, Fault, MapError, Placement, Protection};
use super::parts::{FilePages, ProgramParts};
use super::program::{Image, Program, Segment};
use super::stack::{FirstFrame, Start, first_frame};
use super::syscalls::vdso;
use crate::bare::layout::{MOST_STACK, STACK_END};
use crate::memory::PAGE;

/// The most bytes of a data segment that are made ready: all of a small program's.
const MOST_WARM_DATA: u64 = 128 << 10;

/// The most bytes of code and constants that are made ready: all of a small program's. A large
/// program's would have to be read from disk.
const MOST_WARM_CODE: u64 = 2 << 20;

/// The bytes of the stack below its first frame that are made ready.
const WARM_STACK: u64 = 7 * PAGE;

/// A program that does not fit into the guest.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Guest RAM is too small.
    #[error(
        "{what} of {length} does not fit into the guest's memory of {memory}: give the guest more \
         with --memory"
    )]
    OutOfMemory {
        /// The part that was to be mapped.
        what: &'static str,
        /// The part's length.
        length: ByteSize,
        /// The size of guest RAM.
        memory: ByteSize,
    },
    /// The place is taken, or the host refused a mapping.
    #[error("mapping {what} into the guest")]
    Map {
        /// The part that was to be mapped.
        what: &'static str,
        /// Why the mapping failed.
        source: MapError,
    },
    /// The arguments and the environment take more than a quarter of the stack (Linux: `E2BIG`).
    #[error(
        "the arguments and the environment take {length} bytes, more than a quarter of the stack"
    )]
    TooManyArguments {
        /// Their length in bytes.
        length: usize,
    },
    /// The program's memory cannot be written, though it was just mapped.
    #[error("writing to the program's memory")]
    Write(#[from] Fault),
    /// The host has no random bytes.
    #[error("getrandom")]
    Random(#[source] io::Error),
}

/// The registers at the program's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EntryPoint {
    /// The address of the first instruction.
    pub address: u64,
    /// The stack pointer.
    pub stack: u64,
}

/// A program in its memory, ready to run.
#[derive(Debug)]
pub(crate) struct LoadedProgram {
    /// The registers at the program's start.
    pub entry: EntryPoint,
    /// Where the program's parts lie.
    pub parts: ProgramParts,
}

/// The size of the stack in a guest of `ram` bytes: [`MOST_STACK`], or a quarter of guest RAM if
/// that is less.
pub fn stack_size(ram: u64) -> u64 {
    MOST_STACK.min(ram / 4) & !(PAGE - 1)
}

/// Loads `program`, and prepares its stack and heap, and the vDSO for so many `processors`.
pub(crate) fn load(
    memory: &mut AddressSpace,
    program: &Program,
    start: &Start,
    processors: u8,
) -> Result<LoadedProgram, LoadError> {
    let image = &program.image;
    for segment in &image.segments {
        load_segment(memory, program, segment)?;
    }
    memory.start_heap(image.end().next_multiple_of(PAGE));
    let vdso = vdso::install(memory)
        .map_err(|source| map_error(memory, "the vDSO", vdso::LENGTH, source))?;
    if processors > 1 {
        // The page was mapped right now.
        let _ = vdso::tell_of_processors(memory, vdso);
    }
    let frame = load_stack(memory, program, start, vdso)?;
    let pointer = frame.pointer;
    warm_data(memory, program, pointer);
    Ok(LoadedProgram {
        entry: EntryPoint {
            address: image.entry,
            stack: pointer,
        },
        parts: parts(image, frame, stack_size(memory.ram().size()), vdso),
    })
}

/// Where the parts of a loaded program lie.
fn parts(image: &Image, frame: FirstFrame, stack_size: u64, vdso: u64) -> ProgramParts {
    let segments = || image.segments.iter();
    let code = || segments().filter(|segment| segment.protection.execute);
    let highest = |ends: &mut dyn Iterator<Item = u64>| ends.max().unwrap_or(0);
    let code_start = code().map(|segment| segment.address).min().unwrap_or(0);
    let code_end = highest(&mut code().map(Segment::file_end));
    let data_start = highest(&mut segments().map(|segment| segment.address));
    let data_end = highest(&mut segments().map(Segment::file_end));
    ProgramParts {
        file_pages: segments()
            .filter(|segment| segment.file_length > 0)
            .map(|segment| FilePages {
                pages: segment.address & !(PAGE - 1)..segment.file_end().next_multiple_of(PAGE),
                offset: segment.offset & !(PAGE - 1),
            })
            .collect(),
        code: code_start..code_end,
        data: data_start..data_end,
        stack: STACK_END - stack_size..STACK_END,
        stack_pointer: frame.pointer,
        arguments: frame.arguments,
        environment: frame.environment,
        auxiliary: frame.auxiliary,
        vdso: vdso..vdso + PAGE,
        clock_page: vdso + PAGE..vdso + vdso::LENGTH,
    }
}

/// Makes the host have the memory ready to which every program with a C library writes at its
/// start: its relocated data and its stack.
fn warm_data(memory: &AddressSpace, program: &Program, stack: u64) {
    for segment in &program.image.segments {
        if segment.protection.write {
            warm_segment(memory, segment, MOST_WARM_DATA);
        }
    }
    memory.warm(&((stack & !(PAGE - 1)) - WARM_STACK..STACK_END));
}

/// Gives the guest its own copy of the program's code and constants, ready to be mapped.
///
/// With shadow page tables, a fault of the guest's costs some forty times as much as the copy of a
/// page. KVM maps up to eight neighbours at once, but only pages that are the guest's own. A
/// program that comes to its first `brk` has a C library and is about to run most of its start-up
/// code, so from then on copying pays.
pub(crate) fn warm_code(memory: &AddressSpace, image: &Image) {
    let mut left = MOST_WARM_CODE;
    for segment in &image.segments {
        if !segment.protection.write {
            left -= warm_segment(memory, segment, left);
        }
    }
}

/// Makes at most `most` bytes of a segment ready, and returns how many.
fn warm_segment(memory: &AddressSpace, segment: &Segment, most: u64) -> u64 {
    let start = segment.address & !(PAGE - 1);
    let end = segment.end().next_multiple_of(PAGE).min(start + most);
    memory.warm(&(start..end));
    end - start
}

/// Maps a segment, in place of what earlier segments have in its pages.
fn load_segment(
    memory: &mut AddressSpace,
    program: &Program,
    segment: &Segment,
) -> Result<(), LoadError> {
    let in_page = segment.address % PAGE;
    let first = segment.address - in_page;
    let file_length = match segment.file_length {
        0 => 0,
        length => (in_page + length).next_multiple_of(PAGE),
    };
    if file_length > 0 {
        let backing = Backing::File {
            file: &program.file,
            offset: segment.offset - in_page,
        };
        map(
            memory,
            "a segment",
            Placement::Fixed(first),
            file_length,
            segment.protection,
            backing,
        )?;
        // As on Linux, a segment that the program can't write keeps what the file has there.
        if segment.file_length < segment.length && segment.protection.write {
            let file_end = segment.file_end();
            let zeros = file_end.next_multiple_of(PAGE) - file_end;
            memory.write(
                file_end,
                &vec![0; usize::try_from(zeros).expect("less than a page")],
            )?;
        }
    }
    let length = (in_page + segment.length).next_multiple_of(PAGE);
    if length > file_length {
        // Linux lets a program write to these pages even if it can't write to the segment's others.
        let protection = Protection {
            execute: segment.protection.execute,
            ..Protection::READ_WRITE
        };
        let rest = length - file_length;
        map(
            memory,
            "a zero-filled segment",
            Placement::Fixed(first + file_length),
            rest,
            protection,
            Backing::Anonymous,
        )?;
    }
    Ok(())
}

fn load_stack(
    memory: &mut AddressSpace,
    program: &Program,
    start: &Start,
    clocks: u64,
) -> Result<FirstFrame, LoadError> {
    let size = stack_size(memory.ram().size());
    let frame = first_frame(start, &program.image, random_bytes()?, STACK_END, clocks);
    let length = frame.bytes.len();
    if length as u64 > size / 4 {
        return Err(LoadError::TooManyArguments { length });
    }
    map(
        memory,
        "the stack",
        Placement::FixedNoReplace(STACK_END - size),
        size,
        program.image.stack,
        Backing::Anonymous,
    )?;
    match memory.write(frame.pointer, &frame.bytes) {
        Ok(()) => Ok(frame),
        Err(_) if memory.is_exhausted() => {
            Err(map_error(memory, "the stack", size, MapError::NoMemory))
        }
        Err(fault) => Err(fault.into()),
    }
}

/// Sixteen bytes for `AT_RANDOM`, from which a C library makes its stack guard.
fn random_bytes() -> Result<[u8; 16], LoadError> {
    let mut bytes = [0; 16];
    // SAFETY: the buffer has the length that the call gets.
    let filled = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    match usize::try_from(filled) {
        Ok(length) if length == bytes.len() => Ok(bytes),
        _ => Err(LoadError::Random(io::Error::last_os_error())),
    }
}

fn map(
    memory: &mut AddressSpace,
    what: &'static str,
    place: Placement,
    length: u64,
    protection: Protection,
    backing: Backing<'_>,
) -> Result<(), LoadError> {
    memory
        .map(place, length, protection, backing)
        .map(|_| ())
        .map_err(|source| map_error(memory, what, length, source))
}

/// Why `length` bytes for a part of the program can't be mapped.
fn map_error(
    memory: &AddressSpace,
    what: &'static str,
    length: u64,
    source: MapError,
) -> LoadError {
    match source {
        MapError::NoMemory => LoadError::OutOfMemory {
            what,
            length: ByteSize(length),
            memory: ByteSize(memory.ram().size()),
        },
        source => LoadError::Map { what, source },
    }
}
