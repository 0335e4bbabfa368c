//! The calls that move bytes over sockets, of the network or of a pair (send(2), recv(2)).

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::OpenFile;
use super::guest::{self, Buffer};
use super::net::{Sent, Taken};
use super::own_files::OwnFile;
use super::{CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::{Access, AddressSpace};
use crate::devices::host_io;

/// The offsets of a message's fields (`struct msghdr`).
mod message {
    pub const BUFFERS: u64 = 16;
    pub const BUFFER_COUNT: u64 = 24;
    /// The address of control data, and their length.
    pub const CONTROL_LENGTH: u64 = 40;
    pub const FLAGS: u64 = 48;
    /// The length of the name.
    pub const NAME_LENGTH: u64 = 8;
}

/// The most bytes that one call moves between the program and the stack.
const MOST: u64 = 1 << 20;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let [descriptor, address, length, ..] = call.arguments;
    let one: [Buffer; 1] = [(address, length)];
    Some(match call.linux_number() {
        // The address of the other end, if there is one, is not looked at: a connection has one.
        libc::SYS_sendto => state.send_to(memory, descriptor, &one, call.int(3)),
        libc::SYS_recvfrom => state.receive_from(memory, call, &one),
        libc::SYS_sendmsg => message_buffers(memory, address)
            .map_err(Into::into)
            .and_then(|buffers| state.send_to(memory, descriptor, &buffers, call.int(2))),
        libc::SYS_recvmsg => state.receive_message(memory, call),
        _ => return None,
    })
}

/// The buffers of a message.
fn message_buffers(memory: &AddressSpace, at: u64) -> Result<Vec<Buffer>, Errno> {
    let field = |offset| guest::read_u64(memory, at.wrapping_add(offset));
    let count = field(message::BUFFER_COUNT)?;
    guest::read_buffers(memory, field(message::BUFFERS)?, count).map_err(|errno| match errno {
        Errno::EINVAL if count > 1024 => Errno::EMSGSIZE,
        other => other,
    })
}

/// An open file with the flags that it has for one call.
fn for_call(mut file: OpenFile, flags: c_int) -> OpenFile {
    if flags & libc::MSG_DONTWAIT != 0 {
        file.flags |= libc::O_NONBLOCK;
    }
    file
}

impl Personality {
    fn send_to(
        &mut self,
        memory: &AddressSpace,
        descriptor: u64,
        buffers: &[Buffer],
        flags: c_int,
    ) -> CallResult {
        let (own, file) = self.any_socket(descriptor)?;
        let OwnFile::Stream { writes, .. } = own else {
            let (id, file) = self.socket(descriptor)?;
            return self.send_bytes(memory, id, file.flags, buffers, flags);
        };
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let is_broken = writes.is_some_and(|pipe| self.is_broken(pipe));
        if is_broken && flags & libc::MSG_NOSIGNAL != 0 {
            return Err(Errno::EPIPE.into());
        }
        self.write_own(memory, own, &for_call(file, flags), buffers)
    }

    /// Receives from a socket of the network or of a pair.
    fn receive_any(
        &mut self,
        memory: &AddressSpace,
        descriptor: u64,
        buffers: &[Buffer],
        flags: c_int,
    ) -> Result<usize, Failure> {
        let (own, file) = self.any_socket(descriptor)?;
        if let OwnFile::Socket(id) = own {
            return self.receive(memory, id, file.flags, buffers, flags);
        }
        if flags & (libc::MSG_OOB | libc::MSG_PEEK | libc::MSG_WAITALL) != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        self.read_own(memory, own, &for_call(file, flags), buffers)
    }

    /// Sends bytes over a socket. A blocking call goes on until all are on their way. `file_flags`
    /// are the open file's, and `flags` the call's own.
    pub(super) fn send_bytes(
        &mut self,
        memory: &AddressSpace,
        id: usize,
        file_flags: c_int,
        buffers: &[Buffer],
        flags: c_int,
    ) -> CallResult {
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP.into());
        }
        let may_block = file_flags & libc::O_NONBLOCK == 0 && flags & libc::MSG_DONTWAIT == 0;
        let mut done = self.threads.bytes_done();
        let wanted = guest::total(buffers);
        if self.own.net.stack()?.room(id) == 0 {
            self.serve_network();
        }
        loop {
            let most = (done as u64).saturating_add(MOST);
            let mut from = guest::slices(memory, buffers, Access::Read, most.min(wanted))?;
            from.skip(done);
            let stack = self.own.net.stack()?;
            let mut bytes = host_io::copy_out(&from);
            bytes.truncate(stack.room(id));
            let is_rest = bytes.len() == from.len();
            let limit = stack.options(id)?.send_limit();
            let sent = match stack.send(id, &bytes) {
                Ok(Sent::Bytes(count)) => count,
                _ if done > 0 => return Ok(done as u64),
                Ok(Sent::Broken) if flags & libc::MSG_NOSIGNAL != 0 => {
                    return Err(Errno::EPIPE.into());
                }
                Ok(Sent::Broken) => return Err(self.broken_pipe()),
                Err(errno) => return Err(errno.into()),
            };
            let has_looped = stack.has_looped();
            done += sent;
            if has_looped {
                self.serve_network();
            }
            if done as u64 >= wanted || (is_rest && from.is_empty()) {
                return Ok(done as u64);
            }
            if sent > 0 && self.own.net.stack()?.room(id) > 0 {
                continue;
            }
            return match self.wait_for_socket(id, may_block, limit, done) {
                Failure::Errno(_) if done > 0 => Ok(done as u64),
                failure => Err(failure),
            };
        }
    }

    /// Receives bytes from a socket. `file_flags` are the open file's, and `flags` the call's own.
    pub(super) fn receive(
        &mut self,
        memory: &AddressSpace,
        id: usize,
        file_flags: c_int,
        buffers: &[Buffer],
        flags: c_int,
    ) -> Result<usize, Failure> {
        if flags & libc::MSG_OOB != 0 {
            return Err(Errno::EINVAL.into());
        }
        let total = guest::total(buffers);
        let is_peek = flags & libc::MSG_PEEK != 0;
        let waits_for_all = flags & libc::MSG_WAITALL != 0 && !is_peek;
        let may_block = file_flags & libc::O_NONBLOCK == 0 && flags & libc::MSG_DONTWAIT == 0;
        let done = self.threads.bytes_done();
        if self.own.net.stack()?.available(id) == 0 {
            self.serve_network();
        }
        let stack = self.own.net.stack()?;
        let available = stack.available(id).max(1) as u64;
        // As on Linux, a call waits for bytes even if it takes none.
        if total == 0 && stack.available(id) > 0 {
            return Ok(0);
        }
        let most = (done as u64).saturating_add(available.min(MOST));
        let mut into = guest::slices(memory, buffers, Access::Write, most.min(total))?;
        into.skip(done);
        let limit = stack.options(id)?.receive_limit();
        let taken = match stack.receive(id, &mut into, is_peek) {
            Ok(Taken::Bytes(count)) => {
                let done = done + count;
                if stack.has_looped() {
                    self.serve_network();
                }
                if !waits_for_all || done as u64 >= total {
                    return Ok(done);
                }
                done
            }
            Ok(Taken::End) => return Ok(done),
            Ok(Taken::Nothing) => done,
            Err(_) if done > 0 => return Ok(done),
            Err(errno) => return Err(errno.into()),
        };
        match self.wait_for_socket(id, may_block, limit, taken) {
            Failure::Errno(_) if taken > 0 => Ok(taken),
            failure => Err(failure),
        }
    }

    fn receive_from(
        &mut self,
        memory: &mut AddressSpace,
        call: &SystemCall,
        buffers: &[Buffer],
    ) -> CallResult {
        let [descriptor, _, _, _, _, name_length] = call.arguments;
        let count = self.receive_any(memory, descriptor, buffers, call.int(3))?;
        // A connection tells no address with its bytes.
        if call.arguments[4] != 0 {
            guest::write(memory, name_length, &[0; 4])?;
        }
        Ok(count as u64)
    }

    fn receive_message(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let [descriptor, at, ..] = call.arguments;
        let buffers = message_buffers(memory, at)?;
        let count = self.receive_any(memory, descriptor, &buffers, call.int(2))?;
        guest::write(memory, at.wrapping_add(message::NAME_LENGTH), &[0; 4])?;
        guest::write(memory, at.wrapping_add(message::CONTROL_LENGTH), &[0; 8])?;
        guest::write(memory, at.wrapping_add(message::FLAGS), &[0; 4])?;
        Ok(count as u64)
    }
}
