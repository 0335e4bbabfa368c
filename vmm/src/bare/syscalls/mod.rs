//! The system-call personality: Linux, as one static program of one thread sees it.
//!
//! Every system call of the guest ends here, and is served over virtual devices only: a console, one
//! block device, clocks, memory and a read-only file tree. The host's file system is out of reach.

mod tree;

use bytesize::ByteSize;

use crate::bare::address_space::AddressSpace;
use crate::devices::block::BlockDevice;
use crate::devices::console::Console;

pub use tree::{FileTree, FileTreeError};

/// One system call, as it arrives in the guest's registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// RAX.
    pub number: u64,
    /// RDI, RSI, RDX, R10, R8, R9.
    pub arguments: [u64; 6],
}

/// What the vCPU has to do after a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
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
    /// The only thread waits for something that nobody can do: on Linux it would hang for good.
    Deadlock,
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
    settings: Settings,
}

impl Personality {
    /// A personality for a program that has not started yet.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Serves one system call.
    pub fn call(&mut self, call: &SystemCall, memory: &mut AddressSpace) -> Outcome {
        let _ = (&self.settings, memory);
        if call.number == 231 || call.number == 60 {
            return Outcome::Exit((call.arguments[0] & 0xff) as u8);
        }
        Outcome::Return(-38)
    }

    /// Whether the program has written to its standard output: a workload's first line says "ready".
    pub fn has_written_output(&self) -> bool {
        false
    }
}
