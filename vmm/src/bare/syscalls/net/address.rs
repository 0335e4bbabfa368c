//! The address of a socket as programs pass it (`struct sockaddr_in`, ip(7)).

use std::net::{Ipv4Addr, SocketAddrV4};

use nix::errno::Errno;
use nix::libc;

use super::super::guest;
use crate::bare::address_space::AddressSpace;

/// The bytes of an address.
pub(in super::super) const ADDRESS: usize = 16;

/// Reads the address of `length` bytes at `at`.
///
/// # Errors
/// `EINVAL` if the length is too small, `EFAULT`, and `EAFNOSUPPORT` for another kind of address.
pub(in super::super) fn read_address(
    memory: &AddressSpace,
    at: u64,
    length: u64,
) -> Result<SocketAddrV4, Errno> {
    if length < ADDRESS as u64 || length > 128 {
        return Err(Errno::EINVAL);
    }
    let [f0, f1, p0, p1, a, b, c, d, ..]: [u8; ADDRESS] = guest::read(memory, at)?;
    if i32::from(u16::from_le_bytes([f0, f1])) != libc::AF_INET {
        return Err(Errno::EAFNOSUPPORT);
    }
    let port = u16::from_be_bytes([p0, p1]);
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

/// The bytes of an address.
pub(in super::super) fn address_bytes(address: SocketAddrV4) -> [u8; ADDRESS] {
    let mut bytes = [0; ADDRESS];
    let family = u16::try_from(libc::AF_INET).unwrap_or_default();
    bytes[..2].copy_from_slice(&family.to_le_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&address.ip().octets());
    bytes
}
