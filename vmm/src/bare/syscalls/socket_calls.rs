//! The calls that make, name and close sockets of the network (socket(2), ip(7), tcp(7)).

use std::net::SocketAddrV4;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::{Object, OpenFile};
use super::guest;
use super::moment::End;
use super::net::{ADDRESS, Connecting, Ends, Value, address_bytes, read_address};
use super::own_files::OwnFile;
use super::threads::{Condition, Interrupted, Wait};
use super::time;
use super::{CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::AddressSpace;

/// The bits of a socket's type that are flags of its descriptor, with the values of `O_CLOEXEC` and
/// `O_NONBLOCK`.
const TYPE_FLAGS: c_int = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    Some(match call.linux_number() {
        libc::SYS_socket => state.make_socket(call),
        libc::SYS_bind => state.bind(memory, call),
        libc::SYS_listen => state.listen(call),
        libc::SYS_accept => state.accept(memory, call, 0),
        libc::SYS_accept4 => state.accept(memory, call, call.int(3)),
        libc::SYS_connect => state.connect(memory, call),
        libc::SYS_getsockname => state.tell_own_address(memory, call),
        libc::SYS_getpeername => state.tell_peer_address(memory, call),
        libc::SYS_setsockopt => state.set_option(memory, call),
        libc::SYS_getsockopt => state.tell_option(memory, call),
        libc::SYS_shutdown => state.shut_down(call),
        _ => return None,
    })
}

impl Personality {
    /// The socket of a descriptor, and its open file.
    pub(super) fn socket(&self, descriptor: u64) -> Result<(usize, OpenFile), Errno> {
        let file = self.descriptors.get(descriptor)?;
        match file.object {
            Object::Own(OwnFile::Socket(id)) => Ok((id, file)),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    /// The socket of a descriptor, of the network or of a pair, and its open file.
    pub(super) fn any_socket(&self, descriptor: u64) -> Result<(OwnFile, OpenFile), Errno> {
        let file = self.descriptors.get(descriptor)?;
        match file.object {
            Object::Own(own) if own.is_socket() => Ok((own, file)),
            _ => Err(Errno::ENOTSOCK),
        }
    }

    fn make_socket(&mut self, call: &SystemCall) -> CallResult {
        let (domain, kind, protocol) = (call.int(0), call.int(1), call.int(2));
        if domain != libc::AF_INET {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        let stack = self.own.net.start()?;
        if kind & !TYPE_FLAGS != libc::SOCK_STREAM {
            return Err(Errno::ESOCKTNOSUPPORT.into());
        }
        if !matches!(protocol, 0 | libc::IPPROTO_TCP) {
            return Err(Errno::EPROTONOSUPPORT.into());
        }
        let id = stack.add();
        // From now on packets come, also while the program computes.
        self.threads.look();
        self.open_socket(id, kind)
    }

    /// Gives a new socket a descriptor.
    fn open_socket(&mut self, id: usize, flags: c_int) -> CallResult {
        let flags = flags & TYPE_FLAGS | libc::O_RDWR;
        let opened = self.open_own(OwnFile::Socket(id), flags);
        if opened.is_err() {
            self.forget_closed();
        }
        Ok(opened?)
    }

    fn bind(&mut self, memory: &AddressSpace, call: &SystemCall) -> CallResult {
        let (id, _) = self.socket(call.arguments[0])?;
        let address = read_address(memory, call.arguments[1], call.unsigned(2).into())?;
        self.own.net.stack()?.bind(id, address)?;
        Ok(0)
    }

    fn listen(&mut self, call: &SystemCall) -> CallResult {
        let (id, _) = self.socket(call.arguments[0])?;
        self.own.net.stack()?.listen(id, call.int(1))?;
        Ok(0)
    }

    fn accept(&mut self, memory: &mut AddressSpace, call: &SystemCall, flags: c_int) -> CallResult {
        if flags & !TYPE_FLAGS != 0 {
            return Err(Errno::EINVAL.into());
        }
        let (id, file) = self.socket(call.arguments[0])?;
        let may_block = file.flags & libc::O_NONBLOCK == 0;
        if !may_block {
            self.serve_network();
        }
        let stack = self.own.net.stack()?;
        if !stack.has_connection(id)? {
            let limit = stack.options(id)?.receive_limit();
            return Err(self.wait_for_socket(id, may_block, limit, 0));
        }
        let new = stack.add();
        let descriptor = self.open_socket(new, flags)?;
        let stack = self.own.net.stack()?;
        stack.accept(id, new)?;
        let peer = stack.peer_address(new);
        let [_, to, length, ..] = call.arguments;
        let unknown = SocketAddrV4::new(std::net::Ipv4Addr::UNSPECIFIED, 0);
        if to != 0
            && let Err(errno) = write_address(memory, to, length, peer.unwrap_or(unknown))
        {
            self.descriptors.close(descriptor)?;
            self.forget_closed();
            return Err(errno.into());
        }
        Ok(descriptor)
    }

    fn connect(&mut self, memory: &AddressSpace, call: &SystemCall) -> CallResult {
        let (id, file) = self.socket(call.arguments[0])?;
        let to = read_address(memory, call.arguments[1], call.unsigned(2).into())?;
        let may_block = file.flags & libc::O_NONBLOCK == 0;
        let stack = self.own.net.stack()?;
        let limit = stack.options(id)?.send_limit();
        let connecting = stack.connect(id, to)?;
        match connecting {
            Connecting::Made => Ok(0),
            Connecting::Begun if !may_block => Err(Errno::EINPROGRESS.into()),
            Connecting::GoesOn if !may_block => Err(Errno::EALREADY.into()),
            _ if self.threads.is_wait_over() => Err(Errno::EINPROGRESS.into()),
            _ => Err(self.wait_for_socket(id, true, limit, 0)),
        }
    }

    /// Waits until something comes for a socket, for at most `limit`, or fails if the call must not
    /// block. `done` are the bytes that the call has moved.
    pub(super) fn wait_for_socket(
        &mut self,
        id: usize,
        may_block: bool,
        limit: Option<Duration>,
        done: usize,
    ) -> Failure {
        if !may_block || self.threads.is_wait_over() {
            return Errno::EAGAIN.into();
        }
        let end = match End::of_timeout(limit) {
            Ok(end) => end,
            Err(errno) => return errno.into(),
        };
        self.threads.wait(Wait {
            condition: Condition::Files {
                streams: Vec::new(),
                own: vec![OwnFile::Socket(id)],
            },
            end,
            // As on Linux, a call with a limit is not made again.
            interrupted: if limit.is_some() {
                Interrupted::Fails
            } else {
                Interrupted::MayRestart
            },
            bytes_done: done,
        })
    }

    fn tell_own_address(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let (id, _) = self.socket(call.arguments[0])?;
        let address = self.own.net.stack()?.own_address(id)?;
        let [_, to, length, ..] = call.arguments;
        write_address(memory, to, length, address)?;
        Ok(0)
    }

    fn tell_peer_address(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let (id, _) = self.socket(call.arguments[0])?;
        let address = self.own.net.stack()?.peer_address(id)?;
        let [_, to, length, ..] = call.arguments;
        write_address(memory, to, length, address)?;
        Ok(0)
    }

    fn set_option(&mut self, memory: &AddressSpace, call: &SystemCall) -> CallResult {
        let (id, _) = self.socket(call.arguments[0])?;
        let (level, name) = (call.int(1), call.int(2));
        let length = u64::try_from(call.int(4)).map_err(|_| Errno::EINVAL)?;
        let value = read_value(memory, level, name, call.arguments[3], length)?;
        self.own.net.stack()?.set_option(id, level, name, value)?;
        Ok(0)
    }

    fn tell_option(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        let (id, _) = self.socket(call.arguments[0])?;
        let (level, name) = (call.int(1), call.int(2));
        let [_, _, _, to, length_at, _] = call.arguments;
        let room = guest::read_u32(memory, length_at)?.cast_signed();
        let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
        self.serve_network();
        let stack = self.own.net.stack()?;
        let own = match (level, name) {
            (libc::SOL_SOCKET, libc::SO_TYPE) => Some(libc::SOCK_STREAM),
            (libc::SOL_SOCKET, libc::SO_DOMAIN) => Some(libc::AF_INET),
            (libc::SOL_SOCKET, libc::SO_PROTOCOL) => Some(libc::IPPROTO_TCP),
            (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => Some(stack.is_listening(id)?.into()),
            (libc::SOL_SOCKET, libc::SO_ERROR) => {
                Some(stack.take_error(id)?.map_or(0, |errno| errno as c_int))
            }
            _ => None,
        };
        let value = own
            .map(Value::Number)
            .or_else(|| stack.options(id).ok()?.get(level, name))
            .ok_or(Errno::ENOPROTOOPT)?;
        let mut bytes = value_bytes(value);
        bytes.truncate(room);
        guest::write(memory, to, &bytes)?;
        let length = super::low_half(bytes.len() as u64);
        guest::write(memory, length_at, &length.to_le_bytes())?;
        Ok(0)
    }

    fn shut_down(&mut self, call: &SystemCall) -> CallResult {
        let (own, _) = self.any_socket(call.arguments[0])?;
        let ends = Ends::of(call.int(1))?;
        match own {
            OwnFile::Socket(id) => {
                self.serve_network();
                self.own.net.stack()?.shut_down(id, ends)?;
            }
            OwnFile::Stream { reads, writes } => {
                let shut = [reads.filter(|_| ends.read), writes.filter(|_| ends.write)];
                for pipe in shut.into_iter().flatten() {
                    self.own.pipes[pipe].is_shut = true;
                }
            }
            _ => {}
        }
        // The other end of a pair learns of it, too.
        self.wake_watchers(OwnFile::is_socket);
        Ok(0)
    }
}

/// Writes an address, as far as the program has room, and its whole length to `length_at`.
pub(super) fn write_address(
    memory: &mut AddressSpace,
    to: u64,
    length_at: u64,
    address: SocketAddrV4,
) -> Result<(), Errno> {
    let room = guest::read_u32(memory, length_at)?.cast_signed();
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let bytes = address_bytes(address);
    guest::write(memory, to, &bytes[..room.min(ADDRESS)])?;
    let length = super::low_half(ADDRESS as u64);
    guest::write(memory, length_at, &length.to_le_bytes())
}

/// Reads an option's value.
fn read_value(
    memory: &AddressSpace,
    level: c_int,
    name: c_int,
    at: u64,
    length: u64,
) -> Result<Value, Errno> {
    let is_of_socket = level == libc::SOL_SOCKET;
    let needs = |least: u64| {
        if length < least {
            Err(Errno::EINVAL)
        } else {
            Ok(())
        }
    };
    if is_of_socket && name == libc::SO_LINGER {
        needs(8)?;
        let on = guest::read_u32(memory, at)?.cast_signed();
        let seconds = guest::read_u32(memory, at.wrapping_add(4))?.cast_signed();
        return Ok(Value::Linger(on, seconds));
    }
    if is_of_socket && matches!(name, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) {
        needs(16)?;
        let (seconds, microseconds) = guest::read_pair(memory, at)?;
        let nanoseconds = microseconds.checked_mul(1000).ok_or(Errno::EDOM)?;
        let limit = time::duration(seconds, nanoseconds).ok_or(Errno::EDOM)?;
        return Ok(Value::Time(limit));
    }
    needs(4)?;
    Ok(Value::Number(guest::read_u32(memory, at)?.cast_signed()))
}

/// An option's value as the program gets it.
fn value_bytes(value: Value) -> Vec<u8> {
    match value {
        Value::Number(number) => number.to_le_bytes().to_vec(),
        Value::Linger(on, seconds) => [on.to_le_bytes(), seconds.to_le_bytes()].concat(),
        Value::Time(limit) => {
            let microseconds = u64::from(limit.subsec_micros());
            [limit.as_secs().to_le_bytes(), microseconds.to_le_bytes()].concat()
        }
    }
}
