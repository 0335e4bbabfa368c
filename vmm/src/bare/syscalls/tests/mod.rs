//! Tests of the personality without KVM. The calls work on plain guest RAM, as a program would make
//! them.

mod descriptor_links;
mod directories;
mod disk;
mod files;
mod fuzz;
mod memory;
mod model;
mod proc;
mod process;
mod scratch;
mod scratch_mapping;
mod scratch_model;
mod streams;
mod trace;

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use nix::errno::Errno;
use nix::libc::c_long;
use tempfile::TempDir;

use super::net::Net;
use super::{
    CallEffect, FileTree, Network, Personality, Resume, Settings, Stop, SystemCall, ThreadId,
};
use crate::bare::address_space::{AddressSpace, Backing, GuestRam, Placement, Protection};
use crate::devices::console::Console;
use crate::devices::disk::HostDisk;

/// The bytes at [`Machine::data`] that the program may read and write.
const DATA: u64 = 4 << 20;
/// The contents of the file `/data/text`.
const TEXT: &[u8] = b"the quick brown fox";

/// `AT_FDCWD` as a register holds it.
const HERE: u64 = 0xffff_ff9c;

/// A program's memory and personality, and the other ends of its streams.
pub(super) struct Machine {
    memory: AddressSpace,
    personality: Personality,
    /// The address of [`DATA`] mapped bytes.
    data: u64,
    pub(super) input: Option<PipeWriter>,
    pub(super) output: Option<PipeReader>,
    files: TempDir,
}

impl Machine {
    pub(super) fn new() -> Self {
        Self::with_disk(None)
    }

    fn with_disk(disk: Option<HostDisk>) -> Self {
        let files = tempfile::tempdir().expect("a directory for test files");
        let text = files.path().join("text");
        fs::write(&text, TEXT).expect("the test file is written");
        let program = File::open("/proc/self/exe").expect("this program");
        let mut tree = FileTree::new(Path::new("/bin/program"), program).expect("a tree");
        tree.add_file(Path::new("/data/text"), &text)
            .expect("a file");
        let (input, to_input) = io::pipe().expect("a pipe");
        let (from_output, output) = io::pipe().expect("a pipe");
        let error = File::create("/dev/null").expect("the null device");
        let personality = Personality::new(Settings {
            tree,
            console: Console::new(input.into(), output.into(), error.into()),
            disk,
            memory: ByteSize::mib(16),
            stack: ByteSize::mib(8),
            trace: false,
        });
        let mut memory = AddressSpace::new(GuestRam::new(ByteSize::mib(16)).expect("guest RAM"));
        let place = Placement::Anywhere { hint: 0 };
        let data = memory.map(place, DATA, Protection::READ_WRITE, Backing::Anonymous);
        Self {
            memory,
            personality: personality.expect("a personality"),
            data: data.expect("memory"),
            input: Some(to_input),
            output: Some(from_output),
            files,
        }
    }

    pub(super) fn personality(&mut self) -> &mut Personality {
        &mut self.personality
    }

    /// The address of the program's data.
    pub(super) fn data(&self) -> u64 {
        self.data
    }

    /// A file of the host's.
    fn given(&self) -> PathBuf {
        self.files.path().join("text")
    }

    pub(super) fn outcome(&mut self, number: c_long, arguments: &[u64]) -> CallEffect {
        let mut call = SystemCall {
            number: number.cast_unsigned(),
            arguments: [0; 6],
        };
        call.arguments[..arguments.len()].copy_from_slice(arguments);
        self.personality.call(&call, &mut self.memory)
    }

    /// Makes a call of the only thread to its end: a wait ends before the result is given, as with
    /// the run loop.
    fn settled(&mut self, number: c_long, arguments: &[u64]) -> CallEffect {
        loop {
            let effect = self.outcome(number, arguments);
            if effect != CallEffect::Wait {
                return effect;
            }
            let (_, resume) = self.next_thread().expect("no deadlock");
            if let Resume::Return(value) = resume {
                return CallEffect::Return(value);
            }
        }
    }

    /// Waits until a thread can run, as the run loop does.
    fn next_thread(&mut self) -> Result<(ThreadId, Resume), Stop> {
        loop {
            if let Some(next) = self.personality.choose_thread() {
                return Ok(next);
            }
            let events = self.personality.sleep()?.wait(None);
            self.personality.take(&events)?;
        }
    }

    /// Makes a call that returns, and gives its value or its error.
    pub(super) fn call(&mut self, number: c_long, arguments: &[u64]) -> Result<u64, Errno> {
        match self.settled(number, arguments) {
            CallEffect::Return(value @ 0..) => Ok(value.cast_unsigned()),
            CallEffect::Return(error) => {
                Err(Errno::from_raw(i32::try_from(-error).expect("an errno")))
            }
            other => panic!("call {number} came to {other:?}"),
        }
    }

    /// Gives the program a network that leads to itself.
    fn start_network(&mut self) {
        self.personality.own.net = Net::new(Network::Loopback);
    }

    /// Writes bytes to the program's memory, `offset` bytes into its data.
    pub(super) fn put(&mut self, offset: u64, bytes: &[u8]) -> u64 {
        let address = self.data + offset;
        self.memory.write(address, bytes).expect("inside the data");
        address
    }

    /// Writes a path to a place without other test data, and returns its address.
    fn path(&mut self, path: &str) -> u64 {
        self.put(DATA - 8192, format!("{path}\0").as_bytes())
    }

    fn bytes(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.memory
            .read(self.data + offset, &mut bytes)
            .expect("inside the data");
        bytes
    }

    pub(super) fn word(&self, offset: u64) -> u64 {
        u64::from_le_bytes(self.bytes(offset, 8).try_into().expect("8 bytes"))
    }
}

/// An `int` as a register holds it.
fn int(value: i32) -> u64 {
    u64::from(value.cast_unsigned())
}
