//! The calls on files and descriptors: opening, closing and positioning them, fcntl and ioctl.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::{Object, OnExec, OpenFile, RangeClosing};
use super::guest;
use super::own_files::{OwnFile, PIPE_BYTES};
use super::paths::{LastLink, PathEnd};
use super::place::Place;
use super::scratch::Contents;
use super::tree::{Device, Node, NodeId};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;
use crate::devices::disk::HostDisk;

/// The flag that Linux sets in every file of a 64-bit program (x86-64 `O_LARGEFILE`, which is 0 in
/// libc).
pub(super) const LARGE_FILE: c_int = 0o100_000;
/// The flags that have no effect after a file is opened.
const OPENING_FLAGS: c_int =
    libc::O_CREAT | libc::O_EXCL | libc::O_NOCTTY | libc::O_TRUNC | libc::O_CLOEXEC;
/// The flags that `F_SETFL` changes.
const SETTABLE: c_int =
    libc::O_APPEND | libc::O_ASYNC | libc::O_DIRECT | libc::O_NOATIME | libc::O_NONBLOCK;

// Commands of `fcntl` on pipes (`linux/fcntl.h`). The size of a pipe never changes.
const F_SETPIPE_SZ: c_int = 1031;
const F_GETPIPE_SZ: c_int = 1032;

/// The commands of `fcntl` on locks of a process. The only process meets no locks but its own.
const POSIX_LOCKS: [c_int; 3] = [libc::F_GETLK, libc::F_SETLK, libc::F_SETLKW];

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, third, ..] = call.arguments;
    let creating = libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC;
    let here = libc::AT_FDCWD;
    let done = |result: Result<(), Errno>| result.map(|()| 0).map_err(Into::into);
    let result = match call.linux_number() {
        libc::SYS_open => state.open(memory, here, first, call.int(1), call.unsigned(2)),
        libc::SYS_creat => state.open(memory, here, first, creating, call.unsigned(1)),
        libc::SYS_openat => state.open(memory, call.int(0), second, call.int(2), call.unsigned(3)),
        libc::SYS_memfd_create => state.make_memory_file(memory, first, call.unsigned(1)),
        libc::SYS_close => done(state.close(first)),
        libc::SYS_close_range => state.close_range(call),
        libc::SYS_lseek => state.seek(first, call.long(1), call.int(2)),
        libc::SYS_dup => state
            .descriptors
            .duplicate(first, 0, OnExec::Keep)
            .map_err(Into::into),
        libc::SYS_dup2 => state.duplicate_to(call, 0),
        libc::SYS_dup3 if call.unsigned(0) == call.unsigned(1) => Err(Errno::EINVAL.into()),
        libc::SYS_dup3 => state.duplicate_to(call, call.int(2)),
        libc::SYS_fcntl if POSIX_LOCKS.contains(&call.int(1)) => {
            state.lock(memory, first, call.int(1), third)
        }
        libc::SYS_fcntl => state.control(first, call.int(1), third),
        libc::SYS_ioctl => state.device_control(memory, first, call.unsigned(1), third),
        // The only process meets no locks but its own, and advice changes nothing.
        libc::SYS_flock | libc::SYS_fadvise64 | libc::SYS_readahead => {
            done(state.descriptors.get(first).map(|_| ()))
        }
        _ => return None,
    };
    state.sweep(memory);
    Some(result)
}

impl Personality {
    /// The directory from which a path starts.
    pub(super) fn start(&self, directory: c_int, path: &[u8]) -> Result<Place, Errno> {
        if path.starts_with(b"/") {
            return Ok(Place::ROOT);
        }
        if directory == libc::AT_FDCWD {
            return Ok(self.working_directory);
        }
        let descriptor = u64::try_from(directory).map_err(|_| Errno::EBADF)?;
        match self.descriptors.get(descriptor)?.object {
            Object::Directory(place) => Ok(place),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn open(
        &mut self,
        memory: &mut AddressSpace,
        directory: c_int,
        path: u64,
        flags: c_int,
        mode: u32,
    ) -> CallResult {
        let path = guest::read_path(memory, path)?;
        let start = self.start(directory, &path)?;
        // With O_PATH, Linux ignores all flags but these.
        let flags = if flags & libc::O_PATH == 0 {
            flags
        } else {
            flags & (libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        };
        let (place, flags) = if flags & libc::O_TMPFILE == libc::O_TMPFILE {
            if flags & libc::O_ACCMODE == libc::O_RDONLY {
                return Err(Errno::EINVAL.into());
            }
            let directory = self.resolve(start, &path, LastLink::Follow)?;
            self.descriptors.check_room()?;
            let flags = flags & !libc::O_TMPFILE;
            (self.make_nameless(directory, mode)?, flags)
        } else {
            (self.place_to_open(start, &path, flags, mode)?, flags)
        };
        let file = OpenFile {
            object: self.openable(memory, place, flags)?,
            place: Some(place),
            offset: 0,
            flags: (flags & !OPENING_FLAGS)
                | if flags & libc::O_PATH == 0 {
                    LARGE_FILE
                } else {
                    0
                },
        };
        let on_exec = OnExec::from_bit(flags, libc::O_CLOEXEC);
        Ok(self.descriptors.insert(file, on_exec)?)
    }

    /// Where `path` leads, if it may be opened with these flags. A missing file is made if they ask
    /// for it.
    fn place_to_open(
        &mut self,
        start: Place,
        path: &[u8],
        flags: c_int,
        mode: u32,
    ) -> Result<Place, Errno> {
        let creates = flags & libc::O_CREAT != 0;
        let exclusive = creates && flags & libc::O_EXCL != 0;
        let last_link = if flags & libc::O_NOFOLLOW == 0 && !exclusive {
            LastLink::Follow
        } else {
            LastLink::Keep
        };
        if creates && path.ends_with(b"/") {
            self.resolve_parent(start, path)?;
            return Err(Errno::EISDIR);
        }
        match self.walk(start, path, last_link)? {
            PathEnd::There(_) if exclusive => Err(Errno::EEXIST),
            PathEnd::There(place) => Ok(place),
            PathEnd::Missing { .. } if !creates => Err(Errno::ENOENT),
            PathEnd::Missing {
                names_directory: true,
                ..
            } => Err(Errno::EISDIR),
            PathEnd::Missing {
                directory: Place::Scratch(directory),
                name,
                ..
            } => {
                self.descriptors.check_room()?;
                self.make_file(directory, &name, mode).map(Place::Scratch)
            }
            PathEnd::Missing { .. } => Err(Errno::EROFS),
        }
    }

    /// The object of an open file for `place`, if these flags suit what is there.
    fn openable(
        &mut self,
        memory: &mut AddressSpace,
        place: Place,
        flags: c_int,
    ) -> Result<Object, Errno> {
        match place {
            Place::Tree(node) => self.openable_node(node, flags),
            Place::Scratch(inode) => self.openable_scratch(memory, inode, flags),
            Place::Descriptor(_) if flags & libc::O_PATH != 0 => Ok(Object::Link(place)),
            Place::Descriptor(_) if flags & libc::O_NOFOLLOW != 0 => Err(Errno::ELOOP),
            // As for a socket on Linux: only its descriptor leads to the file.
            Place::Descriptor(_) => Err(Errno::ENXIO),
        }
    }

    fn openable_node(&self, node: NodeId, flags: c_int) -> Result<Object, Errno> {
        let writes = flags & libc::O_ACCMODE != libc::O_RDONLY || flags & libc::O_TRUNC != 0;
        let only_names = flags & libc::O_PATH != 0;
        let direct = flags & libc::O_DIRECT != 0;
        match self.tree.node(node) {
            Node::Directory { .. } if writes || flags & libc::O_CREAT != 0 => Err(Errno::EISDIR),
            Node::Directory { .. } => Ok(Object::Directory(Place::Tree(node))),
            _ if flags & libc::O_DIRECTORY != 0 => Err(Errno::ENOTDIR),
            Node::Link(_) if only_names => Ok(Object::Link(Place::Tree(node))),
            Node::Link(_) => Err(Errno::ELOOP),
            Node::File(_) | Node::Proc(_) if writes => Err(Errno::EROFS),
            Node::File(_) | Node::Proc(_) if direct => Err(Errno::EINVAL),
            Node::File(_) => Ok(Object::File(node)),
            Node::Proc(file) => Ok(Object::Proc(*file)),
            Node::Device(Device::Null) => Ok(Object::Null),
            Node::Device(Device::Zero) => Ok(Object::Zero),
            Node::Device(Device::Random) => Ok(Object::Random),
            Node::Device(Device::Stream(stream)) => Ok(Object::Stream(*stream)),
            Node::Device(Device::Block) if direct && !self.has_direct_disk() => Err(Errno::EINVAL),
            Node::Device(Device::Block) if writes && self.has_read_only_disk() => {
                Err(Errno::EACCES)
            }
            Node::Device(Device::Block) => Ok(Object::Block),
        }
    }

    fn has_direct_disk(&self) -> bool {
        self.disk.as_ref().is_some_and(HostDisk::supports_direct)
    }

    fn has_read_only_disk(&self) -> bool {
        self.disk.as_ref().is_some_and(HostDisk::is_read_only)
    }

    fn close(&mut self, descriptor: u64) -> Result<(), Errno> {
        self.descriptors.close(descriptor)?;
        self.forget_closed();
        Ok(())
    }

    fn close_range(&mut self, call: &SystemCall) -> CallResult {
        // CLOSE_RANGE_UNSHARE has no effect: no other task shares the table.
        const UNSHARE: u32 = 1 << 1;
        const MARK: u32 = 1 << 2;
        let (first, last, flags) = (call.unsigned(0), call.unsigned(1), call.unsigned(2));
        if first > last || flags & !(UNSHARE | MARK) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let closing = if flags & MARK == 0 {
            RangeClosing::Now
        } else {
            RangeClosing::OnExec
        };
        self.descriptors
            .close_range(u64::from(first), u64::from(last), closing);
        self.forget_closed();
        Ok(0)
    }

    fn duplicate_to(&mut self, call: &SystemCall, flags: c_int) -> CallResult {
        if flags & !libc::O_CLOEXEC != 0 {
            return Err(Errno::EINVAL.into());
        }
        let (old, new) = (u64::from(call.unsigned(0)), u64::from(call.unsigned(1)));
        if old == new {
            self.descriptors.get(old)?;
            return Ok(new);
        }
        let on_exec = OnExec::from_bit(flags, libc::O_CLOEXEC);
        let made = self.descriptors.duplicate_to(old, new, on_exec)?;
        self.forget_closed();
        Ok(made)
    }

    fn seek(&mut self, descriptor: u64, by: i64, whence: c_int) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        if !file.has_data() {
            return Err(Errno::EBADF.into());
        }
        let end = match file.object {
            Object::Stream(_) | Object::Own(OwnFile::Stream { .. } | OwnFile::Socket(_)) => {
                return Err(Errno::ESPIPE.into());
            }
            Object::Null | Object::Zero | Object::Random | Object::Link(_) | Object::Own(_) => {
                return Ok(0);
            }
            Object::Directory(_) | Object::Proc(_) if whence == libc::SEEK_END => {
                return Err(Errno::EINVAL.into());
            }
            Object::Directory(_) | Object::Proc(_) => u64::MAX,
            Object::File(node) => self.size_of(node),
            Object::Scratch(inode) => self.scratch.contents(inode).map_or(0, Contents::size),
            Object::Block => self.disk.as_ref().map_or(0, HostDisk::size),
        };
        let offset = new_offset(file.offset, end, by, whence)?;
        // A file may be positioned past its end, but a disk may not.
        if file.object == Object::Block && offset > end {
            return Err(Errno::EINVAL.into());
        }
        self.descriptors.get_mut(descriptor)?.offset = offset;
        Ok(offset)
    }

    fn size_of(&self, node: NodeId) -> u64 {
        match self.tree.node(node) {
            Node::File(file) => file.size,
            _ => 0,
        }
    }

    fn control(&mut self, descriptor: u64, command: c_int, argument: u64) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        let table = &mut self.descriptors;
        // The argument is an int, of which no flag is the sign.
        let argument = argument & u64::from(u32::MAX);
        let flags = c_int::try_from(argument & 0x7fff_ffff).unwrap_or_default();
        match command {
            libc::F_DUPFD => Ok(table.duplicate(descriptor, argument, OnExec::Keep)?),
            libc::F_DUPFD_CLOEXEC => Ok(table.duplicate(descriptor, argument, OnExec::Close)?),
            libc::F_GETFD => Ok(u64::from(table.on_exec(descriptor)? == OnExec::Close)),
            libc::F_SETFD => {
                let on_exec = OnExec::from_bit(flags, libc::FD_CLOEXEC);
                table.set_on_exec(descriptor, on_exec)?;
                Ok(0)
            }
            libc::F_GETFL => Ok(u64::from(file.flags.cast_unsigned())),
            libc::F_SETFL if !file.has_data() => Err(Errno::EBADF.into()),
            libc::F_SETFL => {
                let wanted = flags & SETTABLE;
                let can_be_direct = file.object == Object::Block && self.has_direct_disk();
                if wanted & libc::O_DIRECT != 0 && !can_be_direct {
                    return Err(Errno::EINVAL.into());
                }
                self.descriptors.get_mut(descriptor)?.flags = (file.flags & !SETTABLE) | wanted;
                Ok(0)
            }
            F_SETPIPE_SZ | F_GETPIPE_SZ => match file.object {
                Object::Own(OwnFile::Stream { .. }) => Ok(PIPE_BYTES as u64),
                _ => Err(Errno::EBADF.into()),
            },
            _ => Err(Errno::EINVAL.into()),
        }
    }

    /// Serves the commands on locks. A lock that is asked for is there, and none is in the way.
    fn lock(
        &self,
        memory: &mut AddressSpace,
        descriptor: u64,
        command: c_int,
        lock: u64,
    ) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        let [low, high]: [u8; 2] = guest::read(memory, lock)?;
        let kind = c_int::from(u16::from_le_bytes([low, high]));
        match kind {
            _ if !file.has_data() => return Err(Errno::EBADF.into()),
            libc::F_UNLCK if command != libc::F_GETLK => {}
            libc::F_RDLCK if command == libc::F_GETLK || file.readable() => {}
            libc::F_WRLCK if command == libc::F_GETLK || file.writable() => {}
            libc::F_RDLCK | libc::F_WRLCK => return Err(Errno::EBADF.into()),
            _ => return Err(Errno::EINVAL.into()),
        }
        if command == libc::F_GETLK {
            let [low, high, ..] = libc::F_UNLCK.to_le_bytes();
            guest::write(memory, lock, &[low, high])?;
        }
        Ok(0)
    }
}

/// The offset to which `lseek` moves in a file without holes.
fn new_offset(current: u64, end: u64, by: i64, whence: c_int) -> Result<u64, Errno> {
    let from_start = u64::try_from(by).map_err(|_| Errno::ENXIO);
    let offset = match whence {
        libc::SEEK_SET => 0_u64.checked_add_signed(by),
        libc::SEEK_CUR => current.checked_add_signed(by),
        libc::SEEK_END => end.checked_add_signed(by),
        libc::SEEK_DATA if from_start? < end => Some(from_start?),
        libc::SEEK_HOLE if from_start? < end => Some(end),
        libc::SEEK_DATA | libc::SEEK_HOLE => return Err(Errno::ENXIO),
        _ => return Err(Errno::EINVAL),
    };
    offset
        .filter(|&offset| i64::try_from(offset).is_ok())
        .ok_or(Errno::EINVAL)
}
