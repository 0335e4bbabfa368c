//! The calls that make files of the program's own, and reading and writing them.

use nix::errno::Errno;
use nix::libc::{self, c_int};

use super::descriptors::{Object, OnExec, OpenFile};
use super::guest::{self, Buffer, put};
use super::own_files::{Counter, OwnFile, Pipe, PipeKind};
use super::own_watching::concerns;
use super::signal_queue::{INFO, SignalInfo};
use super::threads::{Condition, Interrupted, Wait};
use super::{CallResult, Failure, Personality, SystemCall};
use crate::bare::address_space::{Access, AddressSpace};
use crate::devices::host_io;

/// The bytes that a read of a counter or a timer gives, and that a write to a counter takes.
const NUMBER: usize = 8;

pub(super) fn serve(
    state: &mut Personality,
    call: &SystemCall,
    memory: &mut AddressSpace,
) -> Option<CallResult> {
    let first = call.arguments[0];
    Some(match call.linux_number() {
        libc::SYS_pipe => state.make_pipe(memory, first, 0),
        libc::SYS_pipe2 => state.make_pipe(memory, first, call.int(1)),
        libc::SYS_socketpair => state.make_socket_pair(memory, call),
        libc::SYS_eventfd => state.make_counter(call.unsigned(0), 0),
        libc::SYS_eventfd2 => state.make_counter(call.unsigned(0), call.int(1)),
        libc::SYS_signalfd => state.set_signal_file(memory, call, 0),
        libc::SYS_signalfd4 => state.set_signal_file(memory, call, call.int(3)),
        _ => return None,
    })
}

impl Personality {
    /// Gives a file of the program's own a descriptor. `flags` may hold `O_CLOEXEC`.
    pub(super) fn open_own(&mut self, file: OwnFile, flags: c_int) -> Result<u64, Errno> {
        let open = OpenFile {
            object: Object::Own(file),
            place: None,
            offset: 0,
            flags: flags & !libc::O_CLOEXEC,
        };
        let on_exec = OnExec::from_bit(flags, libc::O_CLOEXEC);
        self.descriptors.insert(open, on_exec)
    }

    fn make_pipe(&mut self, memory: &mut AddressSpace, to: u64, flags: c_int) -> CallResult {
        // O_DIRECT would make packets of the writes.
        if flags & !(libc::O_CLOEXEC | libc::O_NONBLOCK) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let pipe = self.own.pipes.insert(Pipe::new(PipeKind::Pipe));
        let ends = [
            (Some(pipe), None, libc::O_RDONLY),
            (None, Some(pipe), libc::O_WRONLY),
        ];
        self.open_pair(
            memory,
            to,
            ends.map(|(reads, writes, mode)| (OwnFile::Stream { reads, writes }, flags | mode)),
        )
    }

    fn make_socket_pair(&mut self, memory: &mut AddressSpace, call: &SystemCall) -> CallResult {
        if call.int(0) != libc::AF_UNIX {
            return Err(Errno::EAFNOSUPPORT.into());
        }
        let options = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        if call.int(1) & !options != libc::SOCK_STREAM {
            return Err(Errno::ESOCKTNOSUPPORT.into());
        }
        // The options have the values of `O_CLOEXEC` and `O_NONBLOCK`.
        let flags = call.int(1) & options | libc::O_RDWR;
        let pipes = [(); 2].map(|()| self.own.pipes.insert(Pipe::new(PipeKind::Socket)));
        let ends = [(pipes[0], pipes[1]), (pipes[1], pipes[0])];
        let ends = ends.map(|(reads, writes)| {
            let (reads, writes) = (Some(reads), Some(writes));
            (OwnFile::Stream { reads, writes }, flags)
        });
        self.open_pair(memory, call.arguments[3], ends)
    }

    /// Opens two files, and writes their descriptors to the address `to`.
    fn open_pair(
        &mut self,
        memory: &mut AddressSpace,
        to: u64,
        files: [(OwnFile, c_int); 2],
    ) -> CallResult {
        let mut opened = Vec::new();
        let mut result = Ok(());
        for (file, flags) in files {
            match self.open_own(file, flags) {
                Ok(descriptor) => opened.push(descriptor),
                Err(errno) => result = Err(errno),
            }
        }
        let numbers = opened
            .iter()
            .flat_map(|&number| super::low_half(number).to_le_bytes());
        let result = result.and_then(|()| guest::write(memory, to, &numbers.collect::<Vec<_>>()));
        if let Err(errno) = result {
            for descriptor in opened {
                self.descriptors.close(descriptor)?;
            }
            self.forget_closed();
            return Err(errno.into());
        }
        Ok(0)
    }

    fn make_counter(&mut self, value: u32, flags: c_int) -> CallResult {
        if flags & !(libc::EFD_CLOEXEC | libc::EFD_NONBLOCK | libc::EFD_SEMAPHORE) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let takes_one = flags & libc::EFD_SEMAPHORE != 0;
        let counter = self
            .own
            .counters
            .insert(Counter::new(value.into(), takes_one));
        let flags = flags & !libc::EFD_SEMAPHORE | libc::O_RDWR;
        Ok(self.open_own(OwnFile::Counter(counter), flags)?)
    }

    /// Makes a file from which signals are read, or changes the signals of one.
    fn set_signal_file(
        &mut self,
        memory: &AddressSpace,
        call: &SystemCall,
        flags: c_int,
    ) -> CallResult {
        let [_, mask, size, _, ..] = call.arguments;
        if size != 8 || flags & !(libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) != 0 {
            return Err(Errno::EINVAL.into());
        }
        let mask = guest::read_u64(memory, mask)?;
        if call.int(0) == -1 {
            let set = self.own.signals.insert(mask);
            return Ok(self.open_own(OwnFile::Signals(set), flags | libc::O_RDWR)?);
        }
        let Object::Own(OwnFile::Signals(set)) = self.descriptors.get(call.arguments[0])?.object
        else {
            return Err(Errno::EINVAL.into());
        };
        self.own.signals[set] = mask;
        self.wake_watchers(|file| file == OwnFile::Signals(set));
        Ok(call.arguments[0])
    }

    /// Reads from a file of the program's own.
    pub(super) fn read_own(
        &mut self,
        memory: &AddressSpace,
        own: OwnFile,
        file: &OpenFile,
        buffers: &[Buffer],
    ) -> Result<usize, Failure> {
        let answer = match own {
            OwnFile::Stream { reads, .. } => self.read_pipe(memory, reads, buffers)?,
            OwnFile::Counter(id) => {
                let into = number_buffer(memory, buffers)?;
                let taken = self.own.counters[id].take();
                taken.map(|value| host_io::copy_from(&value.to_le_bytes(), &into))
            }
            OwnFile::Timer(id) => {
                let into = number_buffer(memory, buffers)?;
                let taken = self.own.timers[id].take();
                taken.map(|count| host_io::copy_from(&count.to_le_bytes(), &into))
            }
            OwnFile::Signals(id) => self.read_signals(memory, id, buffers)?,
            OwnFile::WatchList(_) => return Err(Errno::EINVAL.into()),
            OwnFile::Socket(_) if guest::total(buffers) == 0 => return Ok(0),
            OwnFile::Socket(id) => return self.receive(memory, id, file.flags, buffers, 0),
        };
        match answer {
            Some(count) => {
                self.wake_watchers(|watched| concerns(watched, own));
                Ok(count)
            }
            None => Err(self.wait_for_own(own, file, 0)),
        }
    }

    /// Reads from a pipe. The result is `None` if there is nothing yet.
    fn read_pipe(
        &mut self,
        memory: &AddressSpace,
        pipe: Option<usize>,
        buffers: &[Buffer],
    ) -> Result<Option<usize>, Failure> {
        let id = pipe.ok_or(Errno::EBADF)?;
        let pipe = &mut self.own.pipes[id];
        if guest::total(buffers) == 0 {
            return Ok(Some(0));
        }
        if !pipe.is_empty() {
            let into = guest::slices(memory, buffers, Access::Write, pipe.len() as u64)?;
            let bytes = pipe.read(into.len());
            return Ok(Some(host_io::copy_from(&bytes, &into)));
        }
        if std::mem::take(&mut pipe.is_reset) {
            return Err(Errno::ECONNRESET.into());
        }
        let ends = pipe.is_shut || !self.has_writer(id);
        Ok(ends.then_some(0))
    }

    /// Takes signals that wait, as `struct signalfd_siginfo`.
    fn read_signals(
        &mut self,
        memory: &AddressSpace,
        id: usize,
        buffers: &[Buffer],
    ) -> Result<Option<usize>, Failure> {
        let most = usize::try_from(guest::total(buffers)).unwrap_or(usize::MAX) / INFO;
        if most == 0 {
            return Err(Errno::EINVAL.into());
        }
        let into = guest::slices(memory, buffers, Access::Write, u64::MAX)?;
        let mut bytes = Vec::new();
        while bytes.len() / INFO < most.min(into.len() / INFO) {
            let Some(signal) = self.take_pending(self.own.signals[id]) else {
                break;
            };
            bytes.extend(signal_bytes(&signal));
        }
        Ok((!bytes.is_empty()).then(|| host_io::copy_from(&bytes, &into)))
    }

    /// Writes to a file of the program's own.
    pub(super) fn write_own(
        &mut self,
        memory: &AddressSpace,
        own: OwnFile,
        file: &OpenFile,
        buffers: &[Buffer],
    ) -> CallResult {
        match own {
            OwnFile::Stream { writes, .. } => {
                let id = writes.ok_or(Errno::EBADF)?;
                self.write_pipe(memory, own, id, file, buffers)
            }
            OwnFile::Counter(id) => {
                // Linux before 6.7 took longer writes, too.
                if guest::total(buffers) != NUMBER as u64 {
                    return Err(Errno::EINVAL.into());
                }
                let from = guest::slices(memory, buffers, Access::Read, NUMBER as u64)?;
                let number = host_io::copy_out(&from).first_chunk().copied();
                let number = number.map_or(u64::MAX, u64::from_le_bytes);
                if number == u64::MAX {
                    return Err(Errno::EINVAL.into());
                }
                if !self.own.counters[id].add(number) {
                    return Err(self.wait_for_own(own, file, 0));
                }
                self.wake_watchers(|watched| concerns(watched, own));
                Ok(NUMBER as u64)
            }
            OwnFile::Timer(_) | OwnFile::Signals(_) | OwnFile::WatchList(_) => {
                Err(Errno::EINVAL.into())
            }
            OwnFile::Socket(id) => self.send_bytes(memory, id, file.flags, buffers, 0),
        }
    }

    /// Writes to a pipe. A blocking write goes on until all is written.
    fn write_pipe(
        &mut self,
        memory: &AddressSpace,
        own: OwnFile,
        id: usize,
        file: &OpenFile,
        buffers: &[Buffer],
    ) -> CallResult {
        let wanted = guest::total(buffers);
        // A pipe without a reader takes nothing at all, and a socket without a peer not even that.
        let is_pipe = matches!(own, OwnFile::Stream { reads: None, .. });
        if wanted == 0 && is_pipe {
            return Ok(0);
        }
        if self.is_broken(id) {
            return Err(self.broken_pipe());
        }
        if wanted == 0 {
            return Ok(0);
        }
        let done = self.threads.bytes_done();
        let mut from = guest::slices(memory, buffers, Access::Read, wanted)?;
        from.skip(done);
        let left = from.len();
        if !self.own.pipes[id].accepts(left) {
            return Err(self.wait_for_own(own, file, done));
        }
        let written = self.own.pipes[id].write(&host_io::copy_out(&from));
        self.wake_watchers(|watched| concerns(watched, own));
        let done = done + written;
        if written == left || file.flags & libc::O_NONBLOCK != 0 {
            return Ok(done as u64);
        }
        Err(self.wait_for_own(own, file, done))
    }

    /// The requests to files of the program's own (ioctl(2)).
    pub(super) fn own_control(
        &self,
        memory: &mut AddressSpace,
        own: OwnFile,
        request: u32,
        to: u64,
    ) -> CallResult {
        match own {
            OwnFile::Stream { reads, writes } if u64::from(request) == libc::FIONREAD => {
                let id = reads.or(writes).ok_or(Errno::ENOTTY)?;
                let count = super::low_half(self.own.pipes[id].len() as u64);
                guest::write(memory, to, &count.to_le_bytes())?;
                Ok(0)
            }
            OwnFile::Socket(id) if u64::from(request) == libc::FIONREAD => {
                let available = self.own.net.look().map_or(0, |stack| stack.available(id));
                let count = super::low_half(available as u64);
                guest::write(memory, to, &count.to_le_bytes())?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY.into()),
        }
    }

    /// Waits until a file of the program's own changes, or fails if the file must not block.
    /// `done` are the bytes that the call has moved.
    fn wait_for_own(&mut self, own: OwnFile, file: &OpenFile, done: usize) -> Failure {
        if file.flags & libc::O_NONBLOCK != 0 {
            return Errno::EAGAIN.into();
        }
        self.threads.wait(Wait {
            condition: Condition::Files {
                streams: Vec::new(),
                own: vec![own],
            },
            end: None,
            interrupted: Interrupted::MayRestart,
            bytes_done: done,
        })
    }
}

/// The buffer for a number of eight bytes.
fn number_buffer<'m>(
    memory: &'m AddressSpace,
    buffers: &[Buffer],
) -> Result<host_io::GuestSlices<'m>, Errno> {
    if guest::total(buffers) < NUMBER as u64 {
        return Err(Errno::EINVAL);
    }
    guest::slices(memory, buffers, Access::Write, NUMBER as u64)
}

/// A signal as `struct signalfd_siginfo`.
fn signal_bytes(info: &SignalInfo) -> [u8; INFO] {
    let mut bytes = [0; INFO];
    put(&mut bytes, 0, info.signal().to_le_bytes());
    put(&mut bytes, 8, info.code().to_le_bytes());
    // The number of the sender.
    bytes[12..16].copy_from_slice(&info.bytes()[16..20]);
    // The value that came along: `ssi_int` and `ssi_ptr`.
    bytes[44..48].copy_from_slice(&info.bytes()[24..28]);
    bytes[48..56].copy_from_slice(&info.bytes()[24..32]);
    bytes
}
