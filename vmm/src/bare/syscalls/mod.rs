//! The system-call personality: Linux, as one static program with its threads sees it.
//!
//! The VMM serves every system call of the guest here, over virtual devices only: a console, one
//! block device, clocks, memory, a read-only file tree and files of the program's own in guest
//! memory. No call reaches the host's file system.
//! All arguments are checked as Linux checks them: a bad pointer gives the program `EFAULT`, and
//! does the VMM no harm.
//!
//! Each file serves one family of calls. A call that no family serves gives `ENOSYS`.

mod alarm;
mod attributes;
mod changes;
mod descriptors;
mod directories;
mod files;
mod futex;
mod guest;
mod host_calls;
mod identity;
mod idle;
mod ioctl;
mod memory;
mod metadata;
mod moment;
mod net;
mod own_calls;
mod own_files;
mod own_watching;
mod paths;
mod place;
mod polling;
mod priorities;
mod proc;
mod proc_files;
mod process;
mod process_name;
mod processes;
mod processors;
mod saved;
mod scratch;
mod scratch_io;
mod signal_actions;
mod signal_delivery;
mod signal_queue;
mod signal_sets;
mod signals;
mod socket_calls;
mod socket_transfer;
mod stat;
mod surface;
#[cfg(test)]
mod tests;
mod thread_calls;
mod threads;
mod time;
mod timers;
mod trace;
mod trace_table;
mod transfer;
mod tree;
pub mod vdso;
mod watch_calls;

use std::fs::File;
use std::io::{self, Seek as _};

use bytesize::ByteSize;
use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};

use crate::bare::ProgramParts;
use crate::bare::address_space::{AddressSpace, MapError};
use crate::devices::console::Console;
use crate::devices::disk::HostDisk;
use descriptors::{Descriptors, Object, OpenFile};
use net::Net;
use own_files::OwnFiles;
use place::Place;
use scratch::Scratch;
use signal_delivery::Signals;
use threads::Threads;
use timers::Timers;

pub(super) use guest::word;
pub use host_calls::HOST_SYSTEM_CALLS;
pub(super) use idle::Stop;
pub use net::{Network, NetworkLink};
pub use processes::RefusedProcess;
pub use saved::NotSaved;
pub(crate) use saved::SavedPersonality;
pub(super) use signal_delivery::{Arrival, Delivery};
pub(super) use signal_queue::SignalInfo;
pub use signal_sets::StartSignals;
pub(super) use signals::{STACK, stack_bytes, stack_from_bytes};
pub use thread_calls::NewThread;
pub(super) use threads::Trap;
pub use threads::{Resume, ThreadId};
pub use tree::{FileTree, FileTreeError};

/// One system call, as the guest's registers hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// RAX.
    pub number: u64,
    /// RDI, RSI, RDX, R10, R8, R9.
    pub arguments: [u64; 6],
}

impl SystemCall {
    /// The number as libc's `SYS_*` constants have it. The result is -1 if no constant can have the
    /// number.
    fn linux_number(&self) -> c_long {
        c_long::try_from(self.number).unwrap_or(-1)
    }

    /// An argument of C type `int`: the register's lower half.
    fn int(&self, argument: usize) -> c_int {
        low_half(self.arguments[argument]).cast_signed()
    }

    /// An argument of C type `unsigned int`.
    fn unsigned(&self, argument: usize) -> u32 {
        low_half(self.arguments[argument])
    }

    /// An argument of C type `long` or `off_t`.
    fn long(&self, argument: usize) -> i64 {
        self.arguments[argument].cast_signed()
    }
}

pub(super) fn low_half(register: u64) -> u32 {
    u32::try_from(register & u64::from(u32::MAX)).unwrap_or_default()
}

/// What a system call does to the program: the run loop has to carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEffect {
    /// The program goes on with this number in RAX: a value, or a negated errno.
    Return(i64),
    /// The base of FS changes, and the program goes on with 0 in RAX.
    SetFsBase(u64),
    /// The base of GS changes, and the program goes on with 0 in RAX.
    SetGsBase(u64),
    /// The program has exited with this code.
    Exit(u8),
    /// The signal with this number has killed the program.
    Signal(u8),
    /// The thread waits. Its registers stay as they are, and another thread runs.
    Wait,
    /// There is a new thread, which starts with the registers of its parent, and the parent goes on
    /// with the new thread's number in RAX.
    NewThread(NewThread),
    /// The thread has ended, and others have not.
    EndThread,
    /// A signal's handler is over: the registers are those that the signal's frame holds.
    EndHandler,
}

/// Why a call returns no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The program gets this errno.
    Errno(Errno),
    /// A signal kills the program.
    Signal(u8),
    /// See [`CallEffect::Wait`].
    Waits,
}

/// The value that a call returns, or why there is none.
type CallResult = Result<u64, Failure>;

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self::Errno(errno)
    }
}

impl From<MapError> for Failure {
    fn from(error: MapError) -> Self {
        Self::Errno(Errno::from_raw(error.errno()))
    }
}

impl From<CallResult> for CallEffect {
    fn from(result: CallResult) -> Self {
        match result {
            Ok(value) => Self::Return(value.cast_signed()),
            Err(Failure::Errno(errno)) => Self::Return(-i64::from(errno as i32)),
            Err(Failure::Signal(signal)) => Self::Signal(signal),
            Err(Failure::Waits) => Self::Wait,
        }
    }
}

/// The files and devices of a guest, and what its system calls say about it.
#[derive(Debug)]
pub struct Settings {
    /// The guest's files.
    pub tree: FileTree,
    /// The guest's standard streams.
    pub console: Console,
    /// The guest's `/dev/vda`, if it has a disk.
    pub disk: Option<HostDisk>,
    /// The size of guest memory, for `sysinfo`.
    pub memory: ByteSize,
    /// The limit of the stack, for `getrlimit`.
    pub stack: ByteSize,
    /// Whether each call is reported on the host's standard error.
    pub trace: bool,
}

/// The state on which a guest's system calls work.
#[derive(Debug)]
pub struct Personality {
    tree: FileTree,
    scratch: Scratch,
    console: Console,
    disk: Option<HostDisk>,
    memory: ByteSize,
    stack: ByteSize,
    trace: bool,
    descriptors: Descriptors,
    working_directory: Place,
    own: OwnFiles,
    timers: Timers,
    threads: Threads,
    signals: Signals,
    /// The exit code of the first thread, once that has ended.
    first_thread_code: u8,
    refused_process: Option<RefusedProcess>,
    clock: vdso::Clock,
    proc: proc::State,
}

impl Personality {
    /// Makes the personality for a program that has not started yet.
    ///
    /// # Errors
    /// There is a disk, but a file was given for `/dev/vda`.
    pub fn new(settings: Settings) -> Result<Self, FileTreeError> {
        let Settings {
            mut tree,
            console,
            disk,
            memory,
            stack,
            trace,
        } = settings;
        if disk.is_some() {
            tree.add_block_device()?;
        }
        let name = process_name::name_of(tree.program());
        let scratch = Scratch::new(tree.writable(), memory.as_u64());
        Ok(Self {
            tree,
            scratch,
            console,
            disk,
            memory,
            stack,
            trace,
            descriptors: Descriptors::new(),
            working_directory: Place::ROOT,
            own: OwnFiles::default(),
            timers: Timers::default(),
            threads: Threads::new(name),
            signals: Signals::new(StartSignals::default()),
            first_thread_code: 0,
            refused_process: None,
            clock: vdso::Clock::new(),
            proc: proc::State::new(),
        })
    }

    /// The same for a program that starts with these signals ignored or blocked.
    #[must_use]
    pub fn with_signals(mut self, start: StartSignals) -> Self {
        self.signals = Signals::new(start);
        self.threads.current_mut().blocked = start.blocked & signal_sets::CAN_BE_BLOCKED;
        self
    }

    /// The same for a program with this network.
    #[must_use]
    pub fn with_network(mut self, network: Network) -> Self {
        self.own.net = Net::new(network);
        self
    }

    /// The same for a program whose standard input is the regular file `input`, from the file's own
    /// position on. The program can seek in it and map it. The position is the program's alone, and
    /// the size is the one that the file has now.
    ///
    /// # Errors
    /// The host can't tell the file's size or position.
    pub fn with_input(mut self, mut input: File) -> io::Result<Self> {
        let offset = input.stream_position()?;
        if let Some(node) = self.tree.set_input(input)? {
            self.descriptors.set_input(OpenFile {
                object: Object::File(node),
                place: Some(Place::Tree(node)),
                offset,
                flags: libc::O_RDONLY,
            });
        }
        Ok(self)
    }

    /// Tells where the parts of the program lie, for `/proc`.
    pub fn set_parts(&mut self, parts: ProgramParts) {
        self.proc.parts = parts;
    }

    /// Serves one system call of the current thread.
    pub fn call(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallEffect {
        if !self.trace {
            return self.answer(call, memory);
        }
        let thread = (self.threads.count() > 1).then(|| self.thread());
        let line = trace::Line::new(call, memory, thread);
        let effect = self.answer(call, memory);
        line.write(call, effect);
        effect
    }

    fn answer(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallEffect {
        let effect = self.serve(call, memory);
        if !matches!(effect, CallEffect::Wait | CallEffect::EndThread) {
            self.threads.end_call();
        }
        effect
    }

    /// The number of the thread that makes the calls.
    pub(super) fn thread(&self) -> ThreadId {
        self.threads.current_id()
    }

    /// The number of the program's threads.
    pub(super) fn thread_count(&self) -> usize {
        self.threads.count()
    }

    /// Gives the program other standard streams.
    pub fn set_console(&mut self, console: Console) {
        self.console = console;
    }

    /// The bases of FS and GS of the current thread.
    pub(super) fn segment_bases(&self) -> (u64, u64) {
        let thread = self.threads.current();
        (thread.fs_base, thread.gs_base)
    }

    /// Closes the program's connections after its end, as Linux does, and lets their last bytes
    /// reach the host.
    pub(super) fn end_network(&mut self) {
        if let Some(stack) = self.own.net.up() {
            stack.finish();
        }
    }

    /// Whether the program has written to its standard output. A workload's first line says
    /// "ready".
    pub fn has_written_output(&self) -> bool {
        self.console.has_output()
    }

    /// Asks each family in turn, the busiest first.
    fn serve(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallEffect {
        None.or_else(|| transfer::serve(self, call, memory))
            .or_else(|| time::serve(self, call, memory))
            .or_else(|| memory::serve(self, call, memory))
            .or_else(|| files::serve(self, call, memory))
            .or_else(|| metadata::serve(self, call, memory))
            .or_else(|| directories::serve(self, call, memory))
            .or_else(|| polling::serve(self, call, memory))
            .or_else(|| signals::serve(self, call, memory))
            .or_else(|| changes::serve(self, call, memory))
            .or_else(|| attributes::serve(self, call, memory))
            .or_else(|| vdso::serve(self, call, memory))
            .or_else(|| futex::serve(self, call, memory))
            .or_else(|| own_calls::serve(self, call, memory))
            .or_else(|| watch_calls::serve(self, call, memory))
            .or_else(|| timers::serve(self, call, memory))
            .or_else(|| priorities::serve(call, memory))
            .or_else(|| processors::serve(self, call, memory))
            .or_else(|| processes::serve(self, call))
            .or_else(|| socket_calls::serve(self, call, memory))
            .or_else(|| socket_transfer::serve(self, call, memory))
            .map(CallEffect::from)
            .or_else(|| process::serve(self, call, memory))
            .or_else(|| thread_calls::serve(self, call, memory))
            .or_else(|| end_handler(call))
            .unwrap_or(CallEffect::from(Err(Failure::Errno(Errno::ENOSYS))))
    }
}

fn end_handler(call: &SystemCall) -> Option<CallEffect> {
    (call.linux_number() == libc::SYS_rt_sigreturn).then_some(CallEffect::EndHandler)
}
