//! The calls that move data: read, write, their positioned and scattered forms, and fsync.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::{Object, OpenFile};
use super::guest::{self, Buffer};
use super::threads::{Condition, Interrupted, Wait};
use super::tree::{Node, NodeId};
use super::{CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::{Access, AddressSpace};
use crate::devices::console::{IfEmpty, Stream};
use crate::devices::disk::{AccessMode, Durability, Flush, HostCache};
use crate::devices::host_io;

/// The most bytes that one `read` of the console takes. Without the limit, a huge buffer would be
/// prepared for a short line.
const MAX_CONSOLE_READ: u64 = 1 << 20;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [descriptor, address, count, ..] = call.arguments;
    let one: [Buffer; 1] = [(address, count)];
    let many = |memory: &AddressSpace| guest::read_buffers(memory, address, count);
    let at = || position(call.long(3));
    Some(match call.linux_number() {
        libc::SYS_read => state.read(memory, descriptor, &one, None),
        libc::SYS_write => state.write(memory, descriptor, &one, None, 0),
        libc::SYS_pread64 => at().and_then(|at| state.read(memory, descriptor, &one, Some(at))),
        libc::SYS_pwrite64 => {
            at().and_then(|at| state.write(memory, descriptor, &one, Some(at), 0))
        }
        libc::SYS_readv => many(memory)
            .map_err(Into::into)
            .and_then(|many| state.read(memory, descriptor, &many, None)),
        libc::SYS_writev => many(memory)
            .map_err(Into::into)
            .and_then(|many| state.write(memory, descriptor, &many, None, 0)),
        libc::SYS_preadv => {
            at().and_then(|at| state.read(memory, descriptor, &many(memory)?, Some(at)))
        }
        libc::SYS_pwritev => {
            at().and_then(|at| state.write(memory, descriptor, &many(memory)?, Some(at), 0))
        }
        libc::SYS_preadv2 => state.read_with_flags(call, memory),
        libc::SYS_pwritev2 => state.write_with_flags(call, memory),
        libc::SYS_fsync => state.flush(descriptor, Flush::All),
        libc::SYS_fdatasync | libc::SYS_sync_file_range => state.flush(descriptor, Flush::Data),
        libc::SYS_sync => state.flush_disk(Flush::All),
        libc::SYS_syncfs => state
            .descriptors
            .get(descriptor)
            .map_err(Into::into)
            .and_then(|_| state.flush_disk(Flush::All)),
        _ => return None,
    })
}

/// A position in a file.
fn position(offset: i64) -> Result<u64, Failure> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL.into())
}

impl Personality {
    /// Whether `call` reads from the program's standard input, or from a copy of its descriptor.
    pub(in crate::bare) fn asks_for_input(&self, call: &SystemCall) -> bool {
        let reads = matches!(
            call.linux_number(),
            libc::SYS_read | libc::SYS_readv | libc::SYS_preadv2
        );
        let file = self.descriptors.get(call.arguments[0]);
        reads && file.is_ok_and(|file| file.object == Object::Stream(Stream::Input))
    }

    /// Reads into `buffers`, at the position `at` or at the open file's own.
    fn read(
        &mut self,
        memory: &AddressSpace,
        descriptor: u64,
        buffers: &[Buffer],
        at: Option<u64>,
    ) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        if !file.readable() {
            return Err(Errno::EBADF.into());
        }
        let offset = at.unwrap_or(file.offset);
        let count = match file.object {
            Object::Directory(_) => return Err(Errno::EISDIR.into()),
            Object::Stream(_) | Object::Own(_) if at.is_some() => return Err(Errno::ESPIPE.into()),
            Object::Own(own) => self.read_own(memory, own, &file, buffers)?,
            _ if guest::total(buffers) == 0 => 0,
            Object::Null | Object::Link(_) => 0,
            Object::Stream(stream) => self.read_console(memory, stream, &file, buffers)?,
            Object::Zero => {
                host_io::fill_zero(&guest::slices(memory, buffers, Access::Write, u64::MAX)?)
            }
            Object::Random => host_io::fill_random(
                &mut guest::slices(memory, buffers, Access::Write, u64::MAX)?,
                0,
            )?,
            Object::File(node) => self.read_file(memory, node, buffers, offset)?,
            Object::Scratch(inode) => self.read_scratch(memory, inode, buffers, offset)?,
            Object::Block => self.read_disk(memory, &file, buffers, offset)?,
            Object::Proc(file) => self.read_proc(memory, file, buffers, offset)?,
        };
        self.moved(descriptor, &file, at, count)
    }

    fn read_console(
        &mut self,
        memory: &AddressSpace,
        stream: Stream,
        file: &OpenFile,
        buffers: &[Buffer],
    ) -> Result<usize, Failure> {
        let into = guest::slices(memory, buffers, Access::Write, MAX_CONSOLE_READ)?;
        let waits = file.flags & libc::O_NONBLOCK == 0;
        // The only thread may wait in the host's read.
        let if_empty = if waits && !self.needs_slices() {
            IfEmpty::Wait
        } else {
            IfEmpty::Fail
        };
        match self.console.read(stream, &into, if_empty) {
            Err(Errno::EAGAIN) if waits => Err(self.threads.wait(Wait {
                condition: Condition::Files {
                    streams: vec![(stream, libc::POLLIN)],
                    own: Vec::new(),
                },
                end: None,
                interrupted: Interrupted::MayRestart,
                bytes_done: 0,
            })),
            result => Ok(result?),
        }
    }

    fn read_file(
        &self,
        memory: &AddressSpace,
        node: NodeId,
        buffers: &[Buffer],
        offset: u64,
    ) -> Result<usize, Errno> {
        let Node::File(file) = self.tree.node(node) else {
            return Err(Errno::EBADF);
        };
        let left = file.size.saturating_sub(offset);
        if left == 0 {
            return Ok(0);
        }
        let mut into = guest::slices(memory, buffers, Access::Write, left)?;
        host_io::read_at(std::os::fd::AsFd::as_fd(&file.file), &mut into, offset)
    }

    fn read_disk(
        &self,
        memory: &AddressSpace,
        file: &OpenFile,
        buffers: &[Buffer],
        offset: u64,
    ) -> Result<usize, Errno> {
        let disk = self.disk.as_ref().ok_or(Errno::ENXIO)?;
        let left = disk.size().saturating_sub(offset);
        if left == 0 {
            return Ok(0);
        }
        let mut into = guest::slices(memory, buffers, Access::Write, left)?;
        disk.read(&mut into, offset, mode_of(file.flags).cache)
    }

    /// Writes `buffers`, at the position `at` or at the open file's own. `extra` are `O_*` flags
    /// for this call alone.
    fn write(
        &mut self,
        memory: &mut AddressSpace,
        descriptor: u64,
        buffers: &[Buffer],
        at: Option<u64>,
        extra: c_int,
    ) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        if !file.writable() {
            return Err(Errno::EBADF.into());
        }
        let count = match file.object {
            Object::Stream(_) | Object::Own(_) if at.is_some() => return Err(Errno::ESPIPE.into()),
            Object::Own(own) => return self.write_own(memory, own, &file, buffers),
            Object::Stream(stream) => return self.write_console(memory, stream, buffers),
            Object::Null | Object::Zero | Object::Random => return Ok(guest::total(buffers)),
            Object::Block => {
                let offset = at.unwrap_or(file.offset);
                self.write_disk(memory, file.flags | extra, buffers, offset)?
            }
            Object::Scratch(inode) => {
                return self.write_scratch(memory, descriptor, inode, buffers, at);
            }
            // No descriptor for these is writable, since the tree is read-only.
            Object::File(_) | Object::Directory(_) | Object::Link(_) | Object::Proc(_) => {
                return Err(Errno::EBADF.into());
            }
        };
        self.moved(descriptor, &file, at, count)
    }

    fn write_console(
        &mut self,
        memory: &AddressSpace,
        stream: Stream,
        buffers: &[Buffer],
    ) -> CallResult {
        let wanted = guest::total(buffers);
        if wanted == 0 {
            return Ok(0);
        }
        let mut from = guest::slices(memory, buffers, Access::Read, wanted)?;
        match self.console.write(stream, &mut from) {
            Ok(count) => Ok(count as u64),
            Err(Errno::EPIPE) => Err(self.broken_pipe()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn write_disk(
        &self,
        memory: &AddressSpace,
        flags: c_int,
        buffers: &[Buffer],
        offset: u64,
    ) -> Result<usize, Errno> {
        let disk = self.disk.as_ref().ok_or(Errno::ENXIO)?;
        if guest::total(buffers) == 0 {
            return Ok(0);
        }
        let left = if flags & libc::O_APPEND == 0 {
            disk.size().saturating_sub(offset)
        } else {
            0
        };
        if left == 0 {
            return Err(Errno::ENOSPC);
        }
        let mut from = guest::slices(memory, buffers, Access::Read, left)?;
        disk.write(&mut from, offset, mode_of(flags))
    }

    /// Moves the open file's position on, unless the call has its own position.
    fn moved(
        &mut self,
        descriptor: u64,
        file: &OpenFile,
        at: Option<u64>,
        count: usize,
    ) -> CallResult {
        let count = count as u64;
        let has_position = matches!(
            file.object,
            Object::File(_) | Object::Scratch(_) | Object::Block | Object::Proc(_)
        );
        if at.is_none() && has_position {
            // The sum can't overflow, since nothing here is longer than a file of the host can be.
            self.descriptors.get_mut(descriptor)?.offset = file.offset.saturating_add(count);
        }
        Ok(count)
    }

    fn read_with_flags(&mut self, call: &SystemCall, memory: &AddressSpace) -> CallResult {
        // RWF_HIPRI has no effect on the result.
        if call.int(5) & !libc::RWF_HIPRI != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let [descriptor, address, count, ..] = call.arguments;
        let buffers = guest::read_buffers(memory, address, count)?;
        self.read(
            memory,
            descriptor,
            &buffers,
            optional_position(call.long(3))?,
        )
    }

    fn write_with_flags(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallResult {
        let durable = libc::RWF_DSYNC | libc::RWF_SYNC;
        if call.int(5) & !(libc::RWF_HIPRI | durable) != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let [descriptor, address, count, ..] = call.arguments;
        let buffers = guest::read_buffers(memory, address, count)?;
        let extra = if call.int(5) & durable == 0 {
            0
        } else {
            libc::O_DSYNC
        };
        self.write(
            memory,
            descriptor,
            &buffers,
            optional_position(call.long(3))?,
            extra,
        )
    }

    fn flush(&mut self, descriptor: u64, flush: Flush) -> CallResult {
        let file = self.descriptors.get(descriptor)?;
        match file.object {
            _ if !file.has_data() => Err(Errno::EBADF.into()),
            Object::Block => self.flush_disk(flush),
            Object::File(_) | Object::Scratch(_) | Object::Directory(_) => Ok(0),
            _ => Err(Errno::EINVAL.into()),
        }
    }

    fn flush_disk(&self, flush: Flush) -> CallResult {
        self.disk
            .as_ref()
            .map_or(Ok(()), |disk| disk.flush(flush))?;
        Ok(0)
    }
}

/// The position of `preadv2` and `pwritev2`, for which -1 means the open file's own.
fn optional_position(offset: i64) -> Result<Option<u64>, Failure> {
    match offset {
        -1 => Ok(None),
        offset => position(offset).map(Some),
    }
}

/// How a descriptor with these flags accesses the disk. `O_SYNC` contains `O_DSYNC`.
fn mode_of(flags: c_int) -> AccessMode {
    AccessMode {
        cache: if flags & libc::O_DIRECT == 0 {
            HostCache::Used
        } else {
            HostCache::Bypassed
        },
        durability: if flags & libc::O_DSYNC == 0 {
            Durability::Deferred
        } else {
            Durability::Immediate
        },
    }
}
