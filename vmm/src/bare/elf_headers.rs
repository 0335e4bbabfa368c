//! The headers of an ELF file, as far as Linux looks at them before it loads anything.

use std::io;

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::header::{
    EI_CLASS, EI_VERSION, ELFCLASS32, ELFCLASS64, ELFDATA2LSB, EM_X86_64, ET_DYN, ET_EXEC,
    EV_CURRENT, header64,
};
use goblin::elf::program_header::{PT_INTERP, ProgramHeader, program_header64};
use goblin::elf::{Elf, Header};

use super::not_a_program::NotAProgram;

/// The most bytes of program headers that Linux accepts (`load_elf_phdrs`).
const MOST_HEADER_BYTES: usize = 65_536;

/// The ELF header and the program headers of a file.
pub(super) struct Headers {
    pub header: Header,
    pub headers: Vec<ProgramHeader>,
}

impl Headers {
    pub fn read(
        read_at: &mut dyn FnMut(u64, usize) -> io::Result<Vec<u8>>,
    ) -> Result<Self, NotAProgram> {
        // Linkers put the program headers after the ELF header, so that one read gets both.
        let start = read_at(0, 4096).map_err(NotAProgram::Read)?;
        let header = check_header(&start)?;
        let headers = read_headers(&header, &start, read_at)?;
        Ok(Self { header, headers })
    }

    /// Checks that the program needs no dynamic linker.
    pub fn check_static(&self) -> Result<(), NotAProgram> {
        let mut kinds = self.headers.iter().map(|header| header.p_type);
        if kinds.any(|kind| kind == PT_INTERP) {
            return Err(NotAProgram::Dynamic);
        }
        Ok(())
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
