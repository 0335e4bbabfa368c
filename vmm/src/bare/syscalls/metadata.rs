//! The calls that ask about files: stat, statx, access, readlink.

use std::borrow::Cow;

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::{Object, OpenFile};
use super::guest;
use super::own_files::OwnFile;
use super::paths::LastLink;
use super::place::{InodeId, Place};
use super::scratch::{Kind, Moment, Times};
use super::stat::Attributes;
use super::tree::{Device, Node, NodeId};
use super::{CallResult, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;
use crate::devices::console::Stream;

/// The number of the device with the standard streams' pipes, which are not in the tree.
const PIPE_DEVICE: (u32, u32) = (0, 2);
/// The number of the device with the scratch files.
const SCRATCH_DEVICE: (u32, u32) = (0, 3);
/// The size of a link of `/proc/self/fd`, as Linux tells it.
const DESCRIPTOR_LINK_SIZE: u64 = 64;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [first, second, third, ..] = call.arguments;
    let here = libc::AT_FDCWD;
    Some(match call.linux_number() {
        libc::SYS_stat => state.stat(memory, here, first, second, 0),
        libc::SYS_lstat => state.stat(memory, here, first, second, libc::AT_SYMLINK_NOFOLLOW),
        libc::SYS_fstat => state.stat_descriptor(memory, first, second),
        libc::SYS_newfstatat => state.stat(memory, call.int(0), second, third, call.int(3)),
        libc::SYS_statx => state.statx(call, memory),
        libc::SYS_access => state.access(memory, here, first, call.int(1), 0),
        libc::SYS_faccessat => state.access(memory, call.int(0), second, call.int(2), 0),
        libc::SYS_faccessat2 => state.access(memory, call.int(0), second, call.int(2), call.int(3)),
        libc::SYS_readlink => state.read_link(memory, here, first, second, call.int(2)),
        libc::SYS_readlinkat => state.read_link(memory, call.int(0), second, third, call.int(3)),
        _ => return None,
    })
}

impl Personality {
    fn stat_descriptor(&self, memory: &mut AddressSpace, descriptor: u64, to: u64) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        guest::write(memory, to, &self.attributes_of_open(&file).stat())?;
        Ok(0)
    }

    fn stat(
        &self,
        memory: &mut AddressSpace,
        directory: c_int,
        path: u64,
        to: u64,
        flags: c_int,
    ) -> CallResult {
        if flags & !(libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH | libc::AT_NO_AUTOMOUNT) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let attributes = self.attributes_at(memory, directory, path, flags)?;
        guest::write(memory, to, &attributes.stat())?;
        Ok(0)
    }

    fn statx(&self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let flags = call.int(2);
        let known = libc::AT_SYMLINK_NOFOLLOW
            | libc::AT_EMPTY_PATH
            | libc::AT_NO_AUTOMOUNT
            | libc::AT_STATX_FORCE_SYNC
            | libc::AT_STATX_DONT_SYNC;
        let reserved_mask = 1 << 31;
        if flags & !known != 0 || call.unsigned(3) & reserved_mask != 0 {
            return Err(Errno::EINVAL.into());
        }
        let attributes = self.attributes_at(memory, call.int(0), call.arguments[1], flags)?;
        guest::write(memory, call.arguments[4], &attributes.statx())?;
        Ok(0)
    }

    fn attributes_at(
        &self,
        memory: &AddressSpace,
        directory: c_int,
        path: u64,
        flags: c_int,
    ) -> Result<Attributes, Errno> {
        let path = guest::read_path(memory, path)?;
        if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 && directory != libc::AT_FDCWD {
            let descriptor = u64::try_from(directory).map_err(|_| Errno::EBADF)?;
            return Ok(self.attributes_of_open(&self.descriptors.get(descriptor)?));
        }
        Ok(self.attributes_of(self.lookup(directory, &path, flags)?))
    }

    /// What a path names, or, with `AT_EMPTY_PATH`, a descriptor.
    pub(super) fn lookup(
        &self,
        directory: c_int,
        path: &[u8],
        flags: c_int,
    ) -> Result<Place, Errno> {
        if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 {
            if directory == libc::AT_FDCWD {
                return Ok(self.working_directory);
            }
            let descriptor = u64::try_from(directory).map_err(|_| Errno::EBADF)?;
            return self.descriptors.get(descriptor)?.place.ok_or(Errno::ENOENT);
        }
        let start = self.start(directory, path)?;
        let last_link = if flags & libc::AT_SYMLINK_NOFOLLOW == 0 {
            LastLink::Follow
        } else {
            LastLink::Keep
        };
        self.resolve(start, path, last_link)
    }

    fn attributes_of_open(&self, file: &OpenFile) -> Attributes {
        match (file.object, file.place) {
            (_, Some(place)) => self.attributes_of(place),
            (Object::Stream(stream), None) => Self::attributes_of_stream(stream),
            (Object::Own(own), None) => Self::attributes_of_own(own),
            // No file but the console's streams is open without a place.
            (_, None) => self.attributes_of(Place::ROOT),
        }
    }

    /// A pipe is a FIFO, and the other files of the program's own have no type at all, as on Linux.
    fn attributes_of_own(own: OwnFile) -> Attributes {
        let kind = match own {
            OwnFile::Socket(_)
            | OwnFile::Stream {
                reads: Some(_),
                writes: Some(_),
            } => libc::S_IFSOCK,
            OwnFile::Stream { .. } => libc::S_IFIFO,
            _ => 0,
        };
        Attributes {
            mode: kind | 0o600,
            ..Self::attributes_of_stream(Stream::Input)
        }
    }

    /// Every stream looks like a pipe, which can only be read or written. So it is with a terminal of
    /// the host: a program that took it for one would go on to set its modes and ask for its name.
    fn attributes_of_stream(stream: Stream) -> Attributes {
        Attributes {
            inode: stream as u64 + 1,
            device: PIPE_DEVICE,
            mode: libc::S_IFIFO | 0o600,
            ..Attributes::default()
        }
    }

    fn attributes_of(&self, place: Place) -> Attributes {
        let attributes = Attributes {
            inode: place.inode(),
            ..Attributes::default()
        };
        match place {
            Place::Tree(node) => self.attributes_of_node(node, attributes),
            Place::Scratch(inode) => self.attributes_of_scratch(inode, attributes),
            Place::Descriptor(_) => Attributes {
                mode: libc::S_IFLNK | 0o700,
                size: DESCRIPTOR_LINK_SIZE,
                ..attributes
            },
        }
    }

    fn attributes_of_node(&self, node: NodeId, mut attributes: Attributes) -> Attributes {
        match self.tree.node(node) {
            Node::Directory { .. } => {
                attributes.mode = libc::S_IFDIR | 0o555;
                attributes.links = 2;
            }
            Node::File(file) => {
                attributes.mode = libc::S_IFREG | file.mode;
                attributes.size = file.size;
                attributes.taken = file.size;
                let modified = Moment {
                    seconds: file.modified,
                    nanoseconds: 0,
                };
                attributes.times = Times::all(modified);
            }
            // As on Linux, the size of such a file is known only when the program has read it.
            Node::Proc(_) => attributes.mode = libc::S_IFREG | 0o444,
            Node::Link(target) => {
                attributes.mode = libc::S_IFLNK | 0o777;
                attributes.size = target.len() as u64;
            }
            Node::Device(device) => {
                (attributes.mode, attributes.special) = mode_and_number(*device);
            }
        }
        attributes
    }

    fn attributes_of_scratch(&self, inode: InodeId, attributes: Attributes) -> Attributes {
        // An open inode is there.
        let Ok(inode) = self.scratch.inode(inode) else {
            return attributes;
        };
        let (kind, size, taken) = match &inode.kind {
            Kind::File(contents) => (libc::S_IFREG, contents.size(), contents.taken()),
            Kind::Directory(_) => (libc::S_IFDIR, 0, 0),
            Kind::Link(target) => (libc::S_IFLNK, target.len() as u64, 0),
        };
        Attributes {
            device: SCRATCH_DEVICE,
            mode: kind | inode.mode,
            links: self.scratch.links_of(inode),
            size,
            taken,
            owner: inode.owner,
            times: inode.times,
            ..attributes
        }
    }

    fn access(
        &self,
        memory: &AddressSpace,
        directory: c_int,
        path: u64,
        wanted: c_int,
        flags: c_int,
    ) -> CallResult {
        let known = libc::AT_EACCESS | libc::AT_SYMLINK_NOFOLLOW | libc::AT_EMPTY_PATH;
        if wanted & !(libc::R_OK | libc::W_OK | libc::X_OK) != 0 || flags & !known != 0 {
            return Err(Errno::EINVAL.into());
        }
        let path = guest::read_path(memory, path)?;
        let (place, mode) = match self.lookup(directory, &path, flags) {
            Err(Errno::ENOENT) if path.is_empty() && flags & libc::AT_EMPTY_PATH != 0 => {
                (None, libc::S_IFIFO | 0o600)
            }
            found => {
                let place = found?;
                (Some(place), self.attributes_of(place).mode)
            }
        };
        // The program is root, which may do everything but execute a file that nobody may execute.
        let kind = mode & libc::S_IFMT;
        let in_tree = matches!(place, Some(Place::Tree(_)))
            && [libc::S_IFREG, libc::S_IFDIR, libc::S_IFLNK].contains(&kind);
        if wanted & libc::W_OK != 0 && in_tree {
            return Err(Errno::EROFS.into());
        }
        if wanted & libc::X_OK != 0 && mode & 0o111 == 0 && kind != libc::S_IFDIR {
            return Err(Errno::EACCES.into());
        }
        Ok(0)
    }

    fn read_link(
        &self,
        memory: &mut AddressSpace,
        directory: c_int,
        path: u64,
        to: u64,
        size: c_int,
    ) -> CallResult {
        let size = usize::try_from(size)
            .ok()
            .filter(|&size| size > 0)
            .ok_or(Errno::EINVAL)?;
        let path = guest::read_path(memory, path)?;
        let flags = libc::AT_SYMLINK_NOFOLLOW
            | if directory == libc::AT_FDCWD {
                0
            } else {
                libc::AT_EMPTY_PATH
            };
        let target = match self.lookup(directory, &path, flags)? {
            Place::Tree(node) => match self.tree.node(node) {
                Node::Link(target) => Cow::Borrowed(target),
                _ => return Err(Errno::EINVAL.into()),
            },
            Place::Scratch(inode) => match &self.scratch.inode(inode)?.kind {
                Kind::Link(target) => Cow::Borrowed(target),
                _ => return Err(Errno::EINVAL.into()),
            },
            Place::Descriptor(number) => Cow::Owned(self.descriptor_text(number)?),
        };
        let shown = &target[..target.len().min(size)];
        guest::write(memory, to, shown)?;
        Ok(shown.len() as u64)
    }
}

/// The type, the permissions and the number of a device file (Linux
/// `Documentation/admin-guide/devices.txt`).
fn mode_and_number(device: Device) -> (u32, (u32, u32)) {
    match device {
        Device::Null => (libc::S_IFCHR | 0o666, (1, 3)),
        Device::Zero => (libc::S_IFCHR | 0o666, (1, 5)),
        Device::Random => (libc::S_IFCHR | 0o666, (1, 9)),
        Device::Stream(_) => (libc::S_IFIFO | 0o600, (0, 0)),
        Device::Block => (libc::S_IFBLK | 0o660, (254, 0)),
    }
}
