//! The mode of files for instances, whatever the user's umask is.

use nix::sys::stat::{Mode, umask};

/// While it lives, all users may read what this process makes: a container's root is another user
/// on the host, who must reach the container's files. The umask belongs to all threads of the
/// process (umask(2)).
#[derive(Debug)]
pub struct ReadableByAll {
    users: Mode,
}

impl ReadableByAll {
    /// Changes the umask.
    pub fn begin() -> Self {
        Self {
            users: umask(Mode::S_IWGRP | Mode::S_IWOTH),
        }
    }
}

impl Drop for ReadableByAll {
    fn drop(&mut self) {
        umask(self.users);
    }
}
