//! TAP devices: Ethernet interfaces of the host whose other end is a descriptor.

#![expect(unsafe_code, reason = "the ioctls of tuntap")]

use std::fs::File;
use std::mem;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;

use libc::{c_int, c_ulong};
use nix::errno::Errno;

use super::checked;

/// The file that makes TAP devices.
pub const DEVICE: &str = "/dev/net/tun";
/// The bytes of virtio's header (`struct virtio_net_hdr_v1`), which the kernel reads and writes
/// itself.
const VIRTIO_HEADER: c_int = 12;

/// What stands before each packet on a TAP device's descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PacketHeader {
    /// Nothing.
    None,
    /// The header of virtio.
    Virtio,
}

/// Makes an interface that lasts until the descriptor is closed. The descriptor does not block.
///
/// The error is `EBUSY` or `EEXIST` if another interface has the name or the index.
pub fn open(name: &str, index: u32, header: PacketHeader) -> nix::Result<OwnedFd> {
    let tap = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(DEVICE)
        .map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    // SAFETY: `ifreq` is plain data, for which zero is a valid value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    // The last byte stays zero.
    let space = request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1);
    for (to, from) in space.zip(name.bytes()) {
        *to = from.cast_signed();
    }
    let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
    if header == PacketHeader::Virtio {
        flags |= libc::IFF_VNET_HDR;
    }
    request.ifr_ifru.ifru_flags = low_half(flags);
    control(&tap, libc::TUNSETIFINDEX, &mut { index })?;
    control(&tap, libc::TUNSETIFF, &mut request)?;
    if header == PacketHeader::Virtio {
        control(&tap, libc::TUNSETVNETHDRSZ, &mut { VIRTIO_HEADER })?;
    }
    Ok(tap.into())
}

/// The low 16 bits of `flags`, which are all that `ifr_flags` holds. `IFF_TUN_EXCL` is the highest.
fn low_half(flags: c_int) -> i16 {
    let [low, high, ..] = flags.to_le_bytes();
    i16::from_le_bytes([low, high])
}

/// An ioctl that takes a pointer to `argument` and does not keep the pointer.
fn control<T>(tap: &File, request: c_ulong, argument: &mut T) -> nix::Result<()> {
    // SAFETY: each request in `open` reads an argument of the type that `open` gives, and at most
    // writes an argument of that type back.
    let result = unsafe { libc::ioctl(tap.as_raw_fd(), request, std::ptr::from_mut(argument)) };
    checked(result.into()).map(drop)
}
