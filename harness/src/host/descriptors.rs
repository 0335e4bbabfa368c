//! The descriptors above standard error that isobench's caller left open, for the program that
//! `isobench exec` starts.
#![expect(
    unsafe_code,
    reason = "descriptors that were inherited by number have no owner to close them"
)]

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The first descriptor above standard error.
const FIRST: RawFd = 3;

/// The descriptors that the caller left open for isobench and its program.
#[derive(Debug)]
pub struct CallersDescriptors(Vec<RawFd>);

impl CallersDescriptors {
    /// Takes ownership of all descriptors above 2 that exec passes on.
    ///
    /// # Safety
    /// Nothing in this process may own a descriptor above 2 yet.
    ///
    /// # Errors
    /// /proc/self/fd can't be read.
    pub unsafe fn claim() -> io::Result<Self> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir("/proc/self/fd")? {
            let name = entry?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<RawFd>().ok()));
        }
        // The directory itself is closed by now.
        numbers.retain(|&number| number >= FIRST && passes_exec(number));
        numbers.sort_unstable();
        Ok(Self(numbers))
    }

    /// The numbers of all descriptors, in order.
    pub fn numbers(&self) -> &[RawFd] {
        &self.0
    }

    /// The numbers of the first `count` descriptors from 3 on, or the first number among them that
    /// isn't open.
    ///
    /// # Errors
    /// The number of a descriptor that isn't open.
    pub fn first(&self, count: u16) -> Result<Vec<RawFd>, RawFd> {
        let wanted = FIRST..FIRST + RawFd::from(count);
        wanted
            .map(|number| self.0.contains(&number).then_some(number).ok_or(number))
            .collect()
    }

    /// Closes the descriptors in this process. A program at the other end of a pipe then sees the
    /// end once the started program has closed its own.
    pub fn close(self) {
        for number in self.0 {
            // SAFETY: `claim` took ownership of the descriptor, and nothing else closes it.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

/// Whether exec leaves the descriptor open.
fn passes_exec(number: RawFd) -> bool {
    // SAFETY: the descriptor is borrowed for one call, which fails if it isn't open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(descriptor, FcntlArg::F_GETFD).is_ok_and(|flags| flags & FdFlag::FD_CLOEXEC.bits() == 0)
}
