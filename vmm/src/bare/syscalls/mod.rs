//! The system-call personality: Linux, as one static program of one thread sees it.
//!
//! Every system call of the guest ends here, and is served over virtual devices only: a console, one
//! block device, clocks, memory and a read-only file tree. The host's file system is out of reach. Whatever
//! the program passes is checked as Linux checks it: a bad pointer is `EFAULT`, never the VMM's trouble.
//!
//! One family of calls a file; what no family serves is `ENOSYS`.

mod descriptors;
mod directories;
mod files;
mod guest;
mod host_calls;
mod memory;
mod metadata;
mod polling;
mod process;
mod read_only;
mod signals;
#[cfg(test)]
mod tests;
mod time;
mod trace;
mod trace_table;
mod transfer;
mod tree;
pub mod vdso;

use bytesize::ByteSize;
use nix::errno::Errno;
use nix::libc::{c_int, c_long};

use crate::bare::address_space::{AddressSpace, MapError};
use crate::devices::block::BlockDevice;
use crate::devices::console::Console;
use descriptors::Descriptors;
use signals::Signals;
use tree::NodeId;

pub use host_calls::HOST_SYSTEM_CALLS;
pub use tree::{FileTree, FileTreeError};

/// One system call, as it arrives in the guest's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// RAX.
    pub number: u64,
    /// RDI, RSI, RDX, R10, R8, R9.
    pub arguments: [u64; 6],
}

impl SystemCall {
    /// The number as libc's `SYS_*` constants have it; -1 for what none can be.
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

fn low_half(register: u64) -> u32 {
    u32::try_from(register & u64::from(u32::MAX)).unwrap_or_default()
}

/// What the vCPU has to do after a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEffect {
    /// Go on with this in RAX: a value, or an errno negated.
    Return(i64),
    /// Set FS base, and go on with 0 in RAX.
    SetFsBase(u64),
    /// Set GS base, and go on with 0 in RAX.
    SetGsBase(u64),
    /// The program has ended with this code.
    Exit(u8),
    /// A signal has killed the program: exit code 128 + this.
    Signal(u8),
    /// The only thread waits for a wake-up that nobody can give: on Linux it would hang for good.
    Deadlock,
}

/// Why a call returns no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The program is told.
    Errno(Errno),
    /// The program dies of a signal.
    Signal(u8),
    /// See [`CallEffect::Deadlock`].
    Deadlock,
}

/// What a call returns.
type Served = Result<u64, Failure>;

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

impl From<Served> for CallEffect {
    fn from(served: Served) -> Self {
        match served {
            Ok(value) => Self::Return(value.cast_signed()),
            Err(Failure::Errno(errno)) => Self::Return(-i64::from(errno as i32)),
            Err(Failure::Signal(signal)) => Self::Signal(signal),
            Err(Failure::Deadlock) => Self::Deadlock,
        }
    }
}

/// What a guest has.
#[derive(Debug)]
pub struct Settings {
    /// Its files.
    pub tree: FileTree,
    /// Its standard streams.
    pub console: Console,
    /// Its `/dev/vda`, if any.
    pub disk: Option<BlockDevice>,
    /// Its memory, for `sysinfo`.
    pub memory: ByteSize,
    /// The limit of its stack, for `getrlimit`.
    pub stack: ByteSize,
    /// Whether each call is written to the host's standard error.
    pub trace: bool,
}

/// The state behind a guest's system calls.
#[derive(Debug)]
pub struct Personality {
    tree: FileTree,
    console: Console,
    disk: Option<BlockDevice>,
    memory: ByteSize,
    stack: ByteSize,
    trace: bool,
    descriptors: Descriptors,
    working_directory: NodeId,
    signals: Signals,
    /// `PR_SET_NAME`.
    name: [u8; 16],
    fs_base: u64,
    gs_base: u64,
    clock: vdso::Clock,
}

impl Personality {
    /// A personality for a program that has not started yet.
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
        Ok(Self {
            tree,
            console,
            disk,
            memory,
            stack,
            trace,
            descriptors: Descriptors::new(),
            working_directory: NodeId::ROOT,
            signals: Signals::default(),
            name: [0; 16],
            fs_base: 0,
            gs_base: 0,
            clock: vdso::Clock::new(),
        })
    }

    /// Serves one system call.
    pub fn call(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallEffect {
        if !self.trace {
            return self.serve(call, memory);
        }
        let line = trace::Line::new(call, memory);
        let outcome = self.serve(call, memory);
        line.write(call, outcome);
        outcome
    }

    /// Whether the program has written to its standard output: a workload's first line says "ready".
    pub fn has_written_output(&self) -> bool {
        self.console.has_output()
    }

    /// Asks each family in turn, the busiest first.
    fn serve(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> CallEffect {
        None.or_else(|| transfer::serve(self, call, memory))
            .or_else(|| time::serve(call, memory))
            .or_else(|| memory::serve(self, call, memory))
            .or_else(|| files::serve(self, call, memory))
            .or_else(|| metadata::serve(self, call, memory))
            .or_else(|| directories::serve(self, call, memory))
            .or_else(|| polling::serve(self, call, memory))
            .or_else(|| signals::serve(self, call, memory))
            .or_else(|| read_only::serve(self, call, memory))
            .or_else(|| vdso::serve(self, call, memory))
            .map(CallEffect::from)
            .or_else(|| process::serve(self, call, memory))
            .unwrap_or(CallEffect::from(Err(Failure::Errno(Errno::ENOSYS))))
    }
}
