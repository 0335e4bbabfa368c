//! The program's standard output and error in a guest with a kernel: the protocol between `/init`
//! and the VMM.
//!
//! `/init` names a piece of its memory in registers and writes to a port: one exit for up to a
//! pipe's content, and no copy. (A string write, `rep outsb`, would cost one exit a byte, since KVM
//! interprets it so.) Standard input comes the other way ([`super::program_input`]).

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use super::host_io::{self, GuestSlices};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// The reader of the program's output has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReaderGone;

/// The host's end of the program's standard output or error.
#[derive(Debug)]
pub struct Output {
    to: OwnedFd,
}

impl Output {
    /// Makes an output to the descriptor `to`.
    pub fn new(to: OwnedFd) -> Self {
        Self { to }
    }

    /// Writes all of `from`.
    ///
    /// # Errors
    /// The host can't write all, in most cases since nobody reads any more.
    pub fn write(&self, from: &mut GuestSlices<'_>) -> Result<(), ReaderGone> {
        while !from.is_empty() {
            match host_io::write_all(self.to.as_fd(), from) {
                // Zero bytes were written: the output holds no more.
                Ok(0) => return Err(ReaderGone),
                Ok(_) => {}
                // Another process has made the shared open file non-blocking.
                Err(Errno::EAGAIN) => wait_for_room(self.to.as_fd()),
                Err(_) => return Err(ReaderGone),
            }
        }
        Ok(())
    }
}

fn wait_for_room(descriptor: BorrowedFd<'_>) {
    let _ = poll(
        &mut [PollFd::new(descriptor, PollFlags::POLLOUT)],
        PollTimeout::NONE,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::GuestMemoryBackend as _;

    #[test]
    fn a_closed_reader_is_told() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let output = Output::new(writer);
        let memory = crate::memory::map(&[(0, 1 << 20)]).unwrap();
        let slices = || {
            let mut slices = GuestSlices::default();
            let piece = memory.get_slice(vm_memory::GuestAddress(0), 5).unwrap();
            slices.push(&piece);
            slices
        };
        output.write(&mut slices()).unwrap();
        drop(reader);
        assert_eq!(output.write(&mut slices()), Err(ReaderGone));
    }
}
