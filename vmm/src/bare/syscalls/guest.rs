//! Reads and writes of the arguments that system calls pass by address: numbers, structures, paths,
//! buffers.

use nix::errno::Errno;

use super::tree::PATH_MAX;
use crate::bare::address_space::{Access, AddressSpace};
use crate::devices::host_io::GuestSlices;

/// The most bytes that one call moves (`MAX_RW_COUNT`).
pub(super) const MAX_TRANSFER: u64 = 0x7fff_f000;
/// The most buffers that one call takes (`UIO_MAXIOV`).
const MAX_BUFFERS: u64 = 1024;

/// One buffer of the program's: its address and its length.
pub(super) type Buffer = (u64, u64);

/// Reads `N` bytes.
pub(super) fn read<const N: usize>(memory: &AddressSpace, address: u64) -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    memory
        .read(address, &mut bytes)
        .map_err(|_| Errno::EFAULT)?;
    Ok(bytes)
}

/// Reads an `unsigned int`.
pub(super) fn read_u32(memory: &AddressSpace, address: u64) -> Result<u32, Errno> {
    read(memory, address).map(u32::from_le_bytes)
}

/// Reads an `unsigned long`.
pub(super) fn read_u64(memory: &AddressSpace, address: u64) -> Result<u64, Errno> {
    read(memory, address).map(u64::from_le_bytes)
}

/// Reads two `long`s: a `timespec` or a `timeval`.
pub(super) fn read_pair(memory: &AddressSpace, address: u64) -> Result<(i64, i64), Errno> {
    let bytes: [u8; 16] = read(memory, address)?;
    let pair = u128::from_le_bytes(bytes);
    let low = u64::try_from(pair & u128::from(u64::MAX)).unwrap_or_default();
    let high = u64::try_from(pair >> 64).unwrap_or_default();
    Ok((low.cast_signed(), high.cast_signed()))
}

/// Writes bytes.
pub(super) fn write(memory: &mut AddressSpace, address: u64, bytes: &[u8]) -> Result<(), Errno> {
    memory.write(address, bytes).map_err(|_| Errno::EFAULT)
}

/// Writes two `long`s: a `timespec` or a `timeval`.
pub(super) fn write_pair(
    memory: &mut AddressSpace,
    address: u64,
    first: i64,
    second: i64,
) -> Result<(), Errno> {
    let mut bytes = [0; 16];
    put(&mut bytes, 0, first.to_le_bytes());
    put(&mut bytes, 8, second.to_le_bytes());
    write(memory, address, &bytes)
}

/// The `unsigned long` at `offset` of a C structure, which holds it whole.
pub(in crate::bare) fn word(structure: &[u8], offset: usize) -> u64 {
    let word = structure[offset..].first_chunk().copied();
    word.map_or(0, u64::from_le_bytes)
}

/// Writes one field of a C structure.
pub(super) fn put<const N: usize>(structure: &mut [u8], offset: usize, field: [u8; N]) {
    structure[offset..offset + N].copy_from_slice(&field);
}

/// Reads a path.
pub(super) fn read_path(memory: &AddressSpace, address: u64) -> Result<Vec<u8>, Errno> {
    match memory.read_c_string(address, PATH_MAX) {
        Ok(path) => Ok(path.into_bytes()),
        Err(fault) if fault.address == address.wrapping_add(PATH_MAX as u64) => {
            Err(Errno::ENAMETOOLONG)
        }
        Err(_) => Err(Errno::EFAULT),
    }
}

/// Reads an array of `struct iovec`.
pub(super) fn read_buffers(
    memory: &AddressSpace,
    address: u64,
    count: u64,
) -> Result<Vec<Buffer>, Errno> {
    if count > MAX_BUFFERS {
        return Err(Errno::EINVAL);
    }
    let mut buffers = Vec::new();
    for index in 0..count {
        let at = address.checked_add(16 * index).ok_or(Errno::EFAULT)?;
        let (base, length) = read_pair(memory, at)?;
        if length < 0 {
            return Err(Errno::EINVAL);
        }
        buffers.push((base.cast_unsigned(), length.cast_unsigned()));
    }
    Ok(buffers)
}

/// The most bytes that a transfer to or from these buffers moves.
pub(super) fn total(buffers: &[Buffer]) -> u64 {
    let sum = buffers
        .iter()
        .fold(0_u64, |sum, &(_, length)| sum.saturating_add(length));
    sum.min(MAX_TRANSFER)
}

/// The first `most` bytes of the buffers, up to the first byte that the program may not access.
///
/// # Errors
/// `EFAULT` if the program may not access the very first byte.
pub(super) fn slices<'m>(
    memory: &'m AddressSpace,
    buffers: &[Buffer],
    access: Access,
    most: u64,
) -> Result<GuestSlices<'m>, Errno> {
    let mut slices = GuestSlices::default();
    let mut left = most.min(MAX_TRANSFER);
    for &(address, length) in buffers {
        let wanted = length.min(left);
        let got = push_accessible(&mut slices, memory, address, wanted, access);
        left -= got;
        if got < wanted {
            return if slices.is_empty() {
                Err(Errno::EFAULT)
            } else {
                Ok(slices)
            };
        }
    }
    Ok(slices)
}

/// Adds the accessible start of `address..address + wanted`, and returns its length.
fn push_accessible<'m>(
    slices: &mut GuestSlices<'m>,
    memory: &'m AddressSpace,
    address: u64,
    mut wanted: u64,
    access: Access,
) -> u64 {
    loop {
        match memory.slices(address, wanted, access) {
            Ok(buffer) => {
                slices.append(buffer);
                return wanted;
            }
            Err(fault) => {
                let accessible = fault.address.saturating_sub(address);
                if accessible == 0 || accessible >= wanted {
                    return 0;
                }
                wanted = accessible;
            }
        }
    }
}
