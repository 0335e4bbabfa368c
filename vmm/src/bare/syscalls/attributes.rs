//! The calls that change a file's size, permissions, owner or times. Only scratch files can be
//! changed.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::Object;
use super::place::{InodeId, Place};
use super::scratch::{Inode, Moment};
use super::{CallResult, Personality, SystemCall, guest};
use crate::bare::address_space::AddressSpace;

/// How a call names the file that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// By a path from a directory, with `AT_*` flags.
    Path(c_int, u64, c_int),
    Descriptor(u64),
}

/// The new times of access and modification. One that isn't there stays.
type NewTimes = [Option<Moment>; 2];

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, third, ..] = call.arguments;
    let here = Named::Path(libc::AT_FDCWD, first, 0);
    let itself = Named::Path(libc::AT_FDCWD, first, libc::AT_SYMLINK_NOFOLLOW);
    let at = |flags| Named::Path(call.int(0), second, flags);
    let open = Named::Descriptor(first);
    let result = match call.linux_number() {
        libc::SYS_truncate => state.truncate(memory, first, call.long(1)),
        libc::SYS_ftruncate => state.truncate_open(memory, first, call.long(1)),
        libc::SYS_fallocate => state.allocate(memory, call),
        libc::SYS_chmod => state.set_mode(memory, here, call.unsigned(1)),
        libc::SYS_fchmod => state.set_mode(memory, open, call.unsigned(1)),
        libc::SYS_fchmodat => state.set_mode(memory, at(0), call.unsigned(2)),
        libc::SYS_chown => state.set_owner(memory, here, call, 1),
        libc::SYS_lchown => state.set_owner(memory, itself, call, 1),
        libc::SYS_fchown => state.set_owner(memory, open, call, 1),
        libc::SYS_fchownat => state.set_owner(memory, at(call.int(4)), call, 2),
        libc::SYS_utime => {
            from_seconds(memory, second).and_then(|times| state.set_times(memory, here, times))
        }
        libc::SYS_utimes => {
            from_timevals(memory, second).and_then(|times| state.set_times(memory, here, times))
        }
        libc::SYS_futimesat => {
            from_timevals(memory, third).and_then(|times| state.set_times(memory, at(0), times))
        }
        // The C library's futimens passes no path.
        libc::SYS_utimensat if second == 0 => {
            from_timespecs(memory, third).and_then(|times| state.set_times(memory, open, times))
        }
        libc::SYS_utimensat => from_timespecs(memory, third)
            .and_then(|times| state.set_times(memory, at(call.int(3)), times)),
        _ => return None,
    };
    Some(result.map(|()| 0).map_err(Into::into))
}

impl Personality {
    /// The inode that a call changes.
    fn named(&self, memory: &AddressSpace, named: Named) -> Result<InodeId, Errno> {
        let place = match named {
            Named::Path(directory, path, flags) => {
                if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH) != 0 {
                    return Err(Errno::EINVAL);
                }
                let path = guest::read_path(memory, path)?;
                Some(self.lookup(directory, &path, flags)?)
            }
            Named::Descriptor(descriptor) => {
                let file = self.descriptors.get(descriptor)?;
                if !file.has_data() {
                    return Err(Errno::EBADF);
                }
                file.place
            }
        };
        match place {
            Some(Place::Scratch(inode)) => Ok(inode),
            _ => Err(Errno::EROFS),
        }
    }

    fn change(
        &mut self,
        memory: &AddressSpace,
        named: Named,
        change: impl FnOnce(&mut Inode),
    ) -> Result<(), Errno> {
        let inode = self.named(memory, named)?;
        let inode = self.scratch.inode_mut(inode)?;
        inode.times.changed = Moment::now();
        change(inode);
        Ok(())
    }

    fn set_mode(&mut self, memory: &AddressSpace, named: Named, mode: u32) -> Result<(), Errno> {
        self.change(memory, named, |inode| inode.mode = mode & 0o7777)
    }

    /// Sets user and group, which are two arguments from `user` on. -1 keeps what there is.
    fn set_owner(
        &mut self,
        memory: &AddressSpace,
        named: Named,
        call: &SystemCall,
        user: usize,
    ) -> Result<(), Errno> {
        let wanted = |argument| Some(call.unsigned(argument)).filter(|&id| id != u32::MAX);
        let (user, group) = (wanted(user), wanted(user + 1));
        self.change(memory, named, |inode| {
            let (old_user, old_group) = inode.owner;
            inode.owner = (user.unwrap_or(old_user), group.unwrap_or(old_group));
        })
    }

    fn set_times(
        &mut self,
        memory: &AddressSpace,
        named: Named,
        [accessed, modified]: NewTimes,
    ) -> Result<(), Errno> {
        self.change(memory, named, |inode| {
            inode.times.accessed = accessed.unwrap_or(inode.times.accessed);
            inode.times.modified = modified.unwrap_or(inode.times.modified);
        })
    }

    fn truncate(&mut self, memory: &mut AddressSpace, path: u64, size: i64) -> Result<(), Errno> {
        let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
        let inode = self.named(memory, Named::Path(libc::AT_FDCWD, path, 0))?;
        self.resize(memory, inode, size)
    }

    fn truncate_open(
        &mut self,
        memory: &mut AddressSpace,
        descriptor: u64,
        size: i64,
    ) -> Result<(), Errno> {
        let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
        let file = self.descriptors.get(descriptor)?;
        match file.object {
            _ if !file.has_data() => Err(Errno::EBADF),
            Object::Scratch(inode) if file.writable() => self.resize(memory, inode, size),
            _ => Err(Errno::EINVAL),
        }
    }

    fn allocate(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> Result<(), Errno> {
        let file = self.descriptors.get(call.arguments[0])?;
        if !file.has_data() {
            return Err(Errno::EBADF);
        }
        let (offset, length) = (call.long(2), call.long(3));
        let (Ok(start), Ok(length @ 1..)) = (u64::try_from(offset), u64::try_from(length)) else {
            return Err(Errno::EINVAL);
        };
        let inode = match file.object {
            _ if !file.writable() => return Err(Errno::EBADF),
            Object::Scratch(inode) => inode,
            Object::Stream(_) => return Err(Errno::ESPIPE),
            Object::Block => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENODEV),
        };
        self.allocate_in(memory, inode, call.int(1), start..start + length)
    }
}

/// Two `timespec`s, or the time now.
fn from_timespecs(memory: &AddressSpace, address: u64) -> Result<NewTimes, Errno> {
    from_pairs(
        memory,
        address,
        |(seconds, nanoseconds)| match nanoseconds {
            libc::UTIME_NOW => Ok(Some(Moment::now())),
            libc::UTIME_OMIT => Ok(None),
            0..1_000_000_000 => Ok(Some(Moment {
                seconds,
                nanoseconds,
            })),
            _ => Err(Errno::EINVAL),
        },
    )
}

/// Two `timeval`s, or the time now.
fn from_timevals(memory: &AddressSpace, address: u64) -> Result<NewTimes, Errno> {
    from_pairs(
        memory,
        address,
        |(seconds, microseconds)| match microseconds {
            0..1_000_000 => Ok(Some(Moment {
                seconds,
                nanoseconds: microseconds * 1000,
            })),
            _ => Err(Errno::EINVAL),
        },
    )
}

fn from_pairs(
    memory: &AddressSpace,
    address: u64,
    moment: impl Fn((i64, i64)) -> Result<Option<Moment>, Errno>,
) -> Result<NewTimes, Errno> {
    if address == 0 {
        return Ok([Some(Moment::now()); 2]);
    }
    let second = address.checked_add(16).ok_or(Errno::EFAULT)?;
    Ok([
        moment(guest::read_pair(memory, address)?)?,
        moment(guest::read_pair(memory, second)?)?,
    ])
}

/// A `struct utimbuf`, or the time now.
fn from_seconds(memory: &AddressSpace, address: u64) -> Result<NewTimes, Errno> {
    if address == 0 {
        return Ok([Some(Moment::now()); 2]);
    }
    let (accessed, modified) = guest::read_pair(memory, address)?;
    Ok([accessed, modified].map(|seconds| {
        Some(Moment {
            seconds,
            nanoseconds: 0,
        })
    }))
}
