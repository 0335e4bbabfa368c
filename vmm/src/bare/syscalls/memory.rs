//! The calls on memory: brk, mmap and its relatives, over the guest's address space.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::Object;
use super::scratch_io::Mapping;
use super::tree::{Node, NodeId};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::{AddressSpace, Backing, Growth, MapError, Placement, Protection};
use crate::bare::layout::USER_HALF_END;
use crate::memory::PAGE;

/// Advice that is only a hint (`asm-generic/mman-common.h`).
const HINTS: [c_int; 10] = [
    libc::MADV_NORMAL,
    libc::MADV_RANDOM,
    libc::MADV_SEQUENTIAL,
    libc::MADV_WILLNEED,
    libc::MADV_HUGEPAGE,
    libc::MADV_NOHUGEPAGE,
    libc::MADV_DONTDUMP,
    libc::MADV_DODUMP,
    libc::MADV_COLD,
    libc::MADV_PAGEOUT,
];

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [address, length, ..] = call.arguments;
    Some(match call.linux_number() {
        libc::SYS_brk => Ok(memory.set_break(address)),
        libc::SYS_mmap => state.map(call, memory),
        libc::SYS_munmap => unmap(memory, address, length),
        libc::SYS_mprotect => protect(call, memory),
        libc::SYS_mremap => remap(call, memory),
        libc::SYS_madvise => advise(call, memory),
        // No page is ever swapped out, and no mapping is written back.
        libc::SYS_mlock
        | libc::SYS_munlock
        | libc::SYS_mlock2
        | libc::SYS_mlockall
        | libc::SYS_munlockall
        | libc::SYS_msync => Ok(0),
        _ => return None,
    })
}

impl Personality {
    fn map(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let [_, length, protection, _, descriptor, offset] = call.arguments;
        let flags = call.int(3);
        let protection = Protection::from_bits(protection & 7).ok_or(Errno::EINVAL)?;
        if !(libc::MAP_SHARED..=libc::MAP_SHARED_VALIDATE).contains(&(flags & libc::MAP_TYPE)) {
            return Err(Errno::EINVAL.into());
        }
        if flags & libc::MAP_HUGETLB != 0 || length == 0 || !offset.is_multiple_of(PAGE) {
            return Err(Errno::EINVAL.into());
        }
        let place = placement(call);
        if flags & libc::MAP_ANONYMOUS != 0 {
            let backing = if flags & libc::MAP_NORESERVE == 0 {
                Backing::Anonymous
            } else {
                Backing::Unreserved
            };
            return Ok(memory.map(place, length, protection, backing)?);
        }
        let mapping = Mapping {
            place,
            length,
            protection,
            offset,
        };
        match self.mapped_object(call, descriptor, &mapping)? {
            Object::Zero => Ok(memory.map(place, length, protection, Backing::Anonymous)?),
            Object::File(node) => {
                let backing = self.file_backing(node, offset)?;
                Ok(memory.map(place, length, protection, backing)?)
            }
            Object::Scratch(inode) if is_shared(call) => {
                self.map_scratch_shared(memory, inode, &mapping)
            }
            Object::Scratch(inode) => self.map_scratch_copy(memory, inode, &mapping),
            _ => Err(Errno::ENODEV.into()),
        }
    }

    /// The object behind a descriptor, if the program may map it so.
    fn mapped_object(
        &self,
        call: &SystemCall,
        descriptor: u64,
        mapping: &Mapping,
    ) -> Result<Object, Errno> {
        let file = self.descriptors.get(descriptor)?;
        if !file.has_data() {
            return Err(Errno::EBADF);
        }
        let writes = is_shared(call) && mapping.protection.write;
        if !file.readable() || (writes && !file.writable()) {
            return Err(Errno::EACCES);
        }
        let end = mapping.offset.checked_add(mapping.length);
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(Errno::EOVERFLOW);
        }
        Ok(file.object)
    }

    /// The backing of a mapping of a file of the tree. The tree never changes, so a private mapping
    /// serves as a shared one.
    fn file_backing(&self, node: NodeId, offset: u64) -> Result<Backing<'_>, Errno> {
        match self.tree.node(node) {
            Node::File(host) => Ok(Backing::File {
                file: &host.file,
                offset,
            }),
            _ => Err(Errno::ENODEV),
        }
    }
}

/// Whether a mapping is shared.
fn is_shared(call: &SystemCall) -> bool {
    call.int(3) & libc::MAP_TYPE != libc::MAP_PRIVATE
}

/// Where a mapping goes.
fn placement(call: &SystemCall) -> Placement {
    let [address, ..] = call.arguments;
    let flags = call.int(3);
    if flags & libc::MAP_FIXED_NOREPLACE == libc::MAP_FIXED_NOREPLACE {
        Placement::FixedNoReplace(address)
    } else if flags & libc::MAP_FIXED != 0 {
        Placement::Fixed(address)
    } else if flags & libc::MAP_32BIT != 0 {
        Placement::Below2GiB { hint: address }
    } else {
        Placement::Anywhere { hint: address }
    }
}

/// Unmaps the mapped parts of a range. A program may unmap terabytes of which little is mapped, and
/// a walk through all of it would take too long.
fn unmap(memory: &mut AddressSpace, address: u64, length: u64) -> CallResult {
    let length = length.checked_next_multiple_of(PAGE).ok_or(Errno::EINVAL)?;
    let end = address.checked_add(length).ok_or(Errno::EINVAL)?;
    if length == 0 || !address.is_multiple_of(PAGE) || end > USER_HALF_END {
        return Err(Errno::EINVAL.into());
    }
    let overlaps: Vec<(u64, u64)> = memory
        .areas()
        .map(|(area, _)| (area.start.max(address), area.end.min(end)))
        .filter(|(start, end)| start < end)
        .collect();
    for (start, end) in overlaps {
        memory.unmap(start, end - start)?;
    }
    Ok(0)
}

fn protect(call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
    let [address, length, protection, ..] = call.arguments;
    let protection = Protection::from_bits(protection).ok_or(Errno::EINVAL)?;
    memory.protect(address, length, protection)?;
    Ok(0)
}

fn remap(call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
    let [old, old_length, new_length, ..] = call.arguments;
    // MREMAP_FIXED and MREMAP_DONTUNMAP are not served.
    if call.int(3) & !libc::MREMAP_MAYMOVE != 0 {
        return Err(Errno::EINVAL.into());
    }
    let growth = if call.int(3) == 0 {
        Growth::InPlace
    } else {
        Growth::MayMove
    };
    match memory.remap(old, old_length, new_length, growth) {
        Ok(address) => Ok(address),
        Err(MapError::NotMapped) => Err(Errno::EFAULT.into()),
        Err(error) => Err(error.into()),
    }
}

fn advise(call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
    let [address, length, ..] = call.arguments;
    let advice = call.int(2);
    let discards = advice == libc::MADV_DONTNEED || advice == libc::MADV_FREE;
    if !address.is_multiple_of(PAGE) || !(discards || HINTS.contains(&advice)) {
        return Err(Errno::EINVAL.into());
    }
    if discards && length > 0 {
        memory.discard(address, length)?;
    }
    Ok(0)
}
