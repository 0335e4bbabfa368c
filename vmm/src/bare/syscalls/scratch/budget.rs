//! How much guest memory the scratch files may take.

use nix::errno::Errno;

use crate::memory::PAGE;

/// The memory that an inode itself counts for, in bytes. The inode and its name are the VMM's
/// memory, and the least that an allocation takes on Linux is a page as well.
pub(super) const OF_AN_INODE: u64 = PAGE;

/// A limit, and what is left of it, in bytes.
#[derive(Debug)]
pub(in super::super) struct Budget {
    left: u64,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { left: limit }
    }

    /// The bytes that are left.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Takes `length` bytes.
    ///
    /// # Errors
    /// `ENOSPC` if not as much is left.
    pub fn take(&mut self, length: u64) -> Result<(), Errno> {
        self.left = self.left.checked_sub(length).ok_or(Errno::ENOSPC)?;
        Ok(())
    }

    /// Gives `length` bytes back, which were taken.
    pub fn give_back(&mut self, length: u64) {
        self.left += length;
    }
}
