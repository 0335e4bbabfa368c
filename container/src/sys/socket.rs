//! Receiving a message with descriptors, without allocating.

#![expect(
    unsafe_code,
    reason = "nix's recvmsg puts received descriptors on the heap"
)]

use std::mem;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::errno::Errno;

/// Most descriptors in one message.
pub const MAX_DESCRIPTORS: usize = 8;

/// Space for a control message of [`MAX_DESCRIPTORS`] descriptors, aligned as `cmsghdr` is.
#[repr(C, align(8))]
struct Control([u8; 64]);

/// One message received.
pub struct Received {
    /// How many bytes of the buffer it filled; 0 when the other side is gone.
    pub length: usize,
    /// The descriptors that came with it, in order.
    pub descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS],
}

/// recvmsg(2), retried when interrupted.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<Received> {
    let mut control = Control([0; 64]);
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain data, for which zero is a valid value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len();
    let length = loop {
        // SAFETY: the header points at buffers of ours, with their sizes.
        let length =
            unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_CMSG_CLOEXEC) };
        match usize::try_from(length) {
            Ok(length) => break length,
            Err(_) if Errno::last() == Errno::EINTR => {}
            Err(_) => return Err(Errno::last()),
        }
    };
    Ok(Received {
        length,
        descriptors: descriptors(&header),
    })
}

/// Sends `message` whole. If the launcher is gone there is nobody to tell, and `SIGKILL` is on its way.
pub fn send(socket: BorrowedFd<'_>, message: &[u8]) {
    // SAFETY: a descriptor and a buffer with its size.
    unsafe {
        libc::send(
            socket.as_raw_fd(),
            message.as_ptr().cast(),
            message.len(),
            libc::MSG_NOSIGNAL,
        );
    }
}

fn descriptors(header: &libc::msghdr) -> [Option<OwnedFd>; MAX_DESCRIPTORS] {
    let mut received = [const { None }; MAX_DESCRIPTORS];
    // SAFETY: the kernel has just filled in the header; the macro gives null or a whole message in its buffer.
    let message = unsafe { libc::CMSG_FIRSTHDR(header) };
    if message.is_null() {
        return received;
    }
    // SAFETY: it isn't null.
    let (level, kind, length) = unsafe {
        (
            (*message).cmsg_level,
            (*message).cmsg_type,
            (*message).cmsg_len,
        )
    };
    if level != libc::SOL_SOCKET || kind != libc::SCM_RIGHTS {
        return received;
    }
    // SAFETY: arithmetic on a length.
    let header_bytes = unsafe { libc::CMSG_LEN(0) } as usize;
    let count = length.saturating_sub(header_bytes) / size_of::<RawFd>();
    // SAFETY: the message is of SCM_RIGHTS, so its data are `count` descriptors.
    let data = unsafe { libc::CMSG_DATA(message) }.cast::<[u8; size_of::<RawFd>()]>();
    for (index, slot) in received.iter_mut().enumerate().take(count) {
        // SAFETY: `index` is below `count`; the descriptors are new and ours.
        *slot = Some(unsafe { OwnedFd::from_raw_fd(RawFd::from_ne_bytes(data.add(index).read())) });
    }
    received
}
