//! The calls that would change the file tree, with the errors that Linux gives on a read-only file
//! system.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::Object;
use super::guest;
use super::paths::{LastLink, PathEnd};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

/// What a call would do to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    /// The call would make the path, which must not exist.
    Create,
    /// The call would remove the path. Linux refuses before it looks whether the path exists.
    Remove,
    /// The call would change the path, which must exist.
    Alter,
}

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let here = libc::AT_FDCWD;
    let (directory, path, change) = match call.linux_number() {
        libc::SYS_mkdir | libc::SYS_mknod => (here, 0, Change::Create),
        libc::SYS_mkdirat | libc::SYS_mknodat => (call.int(0), 1, Change::Create),
        libc::SYS_link | libc::SYS_symlink => (here, 1, Change::Create),
        libc::SYS_symlinkat => (call.int(1), 2, Change::Create),
        libc::SYS_linkat => (call.int(2), 3, Change::Create),
        libc::SYS_rmdir | libc::SYS_unlink | libc::SYS_rename => (here, 0, Change::Remove),
        libc::SYS_unlinkat | libc::SYS_renameat | libc::SYS_renameat2 => {
            (call.int(0), 1, Change::Remove)
        }
        libc::SYS_chmod
        | libc::SYS_chown
        | libc::SYS_lchown
        | libc::SYS_truncate
        | libc::SYS_utime
        | libc::SYS_utimes => (here, 0, Change::Alter),
        libc::SYS_fchmodat | libc::SYS_fchownat | libc::SYS_futimesat => {
            (call.int(0), 1, Change::Alter)
        }
        // The C library's futimens passes no path.
        libc::SYS_utimensat if call.arguments[1] == 0 => {
            return Some(state.alter_descriptor(call.arguments[0], Errno::EROFS));
        }
        libc::SYS_utimensat => (call.int(0), 1, Change::Alter),
        libc::SYS_fchmod | libc::SYS_fchown => {
            return Some(state.alter_descriptor(call.arguments[0], Errno::EROFS));
        }
        libc::SYS_ftruncate => {
            return Some(state.alter_descriptor(call.arguments[0], Errno::EINVAL));
        }
        libc::SYS_fallocate => return Some(state.allocate(call.arguments[0])),
        _ => return None,
    };
    Some(state.refuse(memory, directory, call.arguments[path], change))
}

impl Personality {
    fn refuse(
        &self,
        memory: &AddressSpace,
        directory: c_int,
        path: u64,
        change: Change,
    ) -> CallResult {
        let path = guest::read_path(memory, path)?;
        let start = self.start(directory, &path)?;
        let errno = match change {
            Change::Create => match self.walk(start, &path, LastLink::Keep)? {
                PathEnd::There(_) => Errno::EEXIST,
                PathEnd::Missing { .. } => Errno::EROFS,
            },
            Change::Remove => self.resolve_parent(start, &path).map(|_| Errno::EROFS)?,
            Change::Alter => self
                .resolve(start, &path, LastLink::Follow)
                .map(|_| Errno::EROFS)?,
        };
        Err(errno.into())
    }

    fn alter_descriptor(&self, descriptor: u64, errno: Errno) -> CallResult {
        self.descriptors.get(descriptor)?;
        Err(errno.into())
    }

    fn allocate(&self, descriptor: u64) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        Err(match file.object {
            _ if !file.writable() => Errno::EBADF,
            Object::Stream(_) => Errno::ESPIPE,
            Object::Block => Errno::EOPNOTSUPP,
            _ => Errno::ENODEV,
        }
        .into())
    }
}
