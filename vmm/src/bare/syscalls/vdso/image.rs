#![expect(unsafe_code, reason = "the assembler makes the vDSO's image")]
//! The image of the vDSO: an ELF shared object, which the assembler makes from `image.s`.

use std::arch::global_asm;
use std::slice;

use crate::bare::address_space::{AddressSpace, Backing, Fault, MapError, Placement, Protection};
use crate::memory::PAGE;

global_asm!(include_str!("image.s"));

unsafe extern "C" {
    #[link_name = "isobench_vdso_start"]
    static IMAGE_START: u8;
    #[link_name = "isobench_vdso_end"]
    static IMAGE_END: u8;
}

/// The bytes of the vDSO's two pages.
pub const LENGTH: u64 = 2 * PAGE;

/// Where the clock page says that there are several processors.
const HAS_PROCESSORS: u64 = 48;

/// Puts the vDSO's two pages into a program's address space, and returns the address of the code:
/// the value of `AT_SYSINFO_EHDR`.
///
/// # Errors
/// There is no room.
pub fn install(memory: &mut AddressSpace) -> Result<u64, MapError> {
    let anywhere = Placement::Anywhere { hint: 0 };
    let clock_page = memory.map(anywhere, PAGE, Protection::READ_WRITE, Backing::Anonymous)?;
    let start = clock_page.checked_sub(PAGE).ok_or(MapError::NoMemory)?;
    let place = Placement::FixedNoReplace(start);
    memory.map(
        place,
        PAGE,
        Protection::READ_EXECUTE,
        Backing::Bytes(image()),
    )
}

/// Lets the vDSO at `start` ask which processor a thread has: there are several.
///
/// # Errors
/// There is no vDSO at this address.
pub(crate) fn tell_of_processors(memory: &mut AddressSpace, start: u64) -> Result<(), Fault> {
    memory.write(start + PAGE + HAS_PROCESSORS, &1_u32.to_le_bytes())
}

/// The ELF image, which is shorter than a page.
pub(super) fn image() -> &'static [u8] {
    let start = &raw const IMAGE_START;
    let end = &raw const IMAGE_END;
    // SAFETY: the assembler has put the two symbols around the bytes of one read-only section.
    unsafe { slice::from_raw_parts(start, end.offset_from_unsigned(start)) }
}
