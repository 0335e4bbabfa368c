//! The bare guest's system calls: any call with any arguments over any memory.
//!
//! The target fails at a panic, at a hang, if memory that the program may only read has changed, or
//! if the disk has another size.

#![no_main]

use std::fs::File;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use bytesize::ByteSize;
use isobench_vmm::bare::address_space::{
    Access, AddressSpace, Backing, GuestRam, Placement, Protection,
};
use isobench_vmm::bare::syscalls::{
    CallEffect, FileTree, Network, Personality, Settings, SystemCall,
};
use isobench_vmm::devices::console::Console;
use isobench_vmm::devices::disk::HostDisk;
use libfuzzer_sys::fuzz_target;
use nix::libc::{self, c_long};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Calls that change mappings, and so what may be read and written.
const MAPPING: [c_long; 6] = [
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
];

/// The bytes that the program may read and write.
const DATA: u64 = 256 << 10;
/// The bytes of a mapping that is larger than memory. Its pages get memory at their first touch.
const WIDE: u64 = 256 << 20;
/// The bytes that the program may only read.
const READ_ONLY: usize = 8192;
const SECRET: [u8; READ_ONLY] = [0x5a; READ_ONLY];
const DISK: u64 = 8192;

#[derive(Debug, Arbitrary)]
struct Program<'a> {
    /// Whether the program may change mappings.
    maps: bool,
    actions: Vec<Action<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Action<'a> {
    Fill {
        word: u16,
        bytes: &'a [u8],
    },
    /// Writes the path with this number in [`PATHS`].
    Path {
        word: u16,
        path: u8,
    },
    /// Writes a pointer to `to` and a length, as in a vector of buffers.
    Buffer {
        word: u16,
        to: u16,
        length: u64,
    },
    Call {
        number: Number,
        arguments: [Argument; 6],
    },
    /// Touches memory as the program itself does.
    Touch {
        at: Argument,
        access: Kind,
    },
}

#[derive(Debug, Arbitrary)]
enum Kind {
    Read,
    Write,
    Execute,
}

#[derive(Debug, Arbitrary)]
enum Number {
    Known(u16),
    Any(u64),
}

#[derive(Debug, Arbitrary)]
enum Argument {
    Small(u8),
    /// `AT_FDCWD` as a register holds it.
    Here,
    Data(u16),
    Page(u8),
    ReadOnly(u16),
    Any(u64),
    /// A page of the mapping that is larger than memory.
    Wide(u16),
}

const PATHS: [&[u8]; 14] = [
    b"/data/text\0",
    b"/dev/vda\0",
    b"/dev\0",
    b"/proc/self/exe\0",
    b"/dev/urandom\0",
    b"/dev/stdin\0",
    b"/tmp/a\0",
    b"/tmp/b\0",
    b"/tmp\0",
    b"/dev/fd/3\0",
    b"/\0",
    b"..\0",
    b"text\0",
    b"\0",
];

struct Machine {
    memory: AddressSpace,
    personality: Personality,
    data: u64,
    read_only: u64,
    wide: u64,
    disk: File,
}

impl Machine {
    fn new() -> Self {
        let disk = file("disk", DISK);
        let text = file("text", 19);
        let program = File::open("/proc/self/exe").expect("this program");
        let mut tree = FileTree::new(Path::new("/bin/program"), program).expect("a tree");
        tree.add_file(Path::new("/data/text"), &path(&text))
            .expect("a file");
        let null = || {
            let null = File::options().read(true).write(true).open("/dev/null");
            OwnedFd::from(null.expect("the null device"))
        };
        let personality = Personality::new(Settings {
            tree,
            console: Console::new(null(), null(), null()),
            disk: Some(HostDisk::open(&path(&disk)).expect("a disk")),
            memory: ByteSize::mib(4),
            stack: ByteSize::mib(1),
            // A trace goes to standard error, where it would hide the fuzzer's messages.
            trace: false,
        });
        let personality =
            personality.map(|personality| personality.with_network(Network::Loopback));
        let ram = GuestRam::new(ByteSize::mib(4)).expect("memory");
        let mut memory = AddressSpace::new(ram);
        let place = Placement::Anywhere { hint: 0 };
        let data = memory.map(place, DATA, Protection::READ_WRITE, Backing::Anonymous);
        let wide = memory.map(place, WIDE, Protection::READ_WRITE, Backing::Anonymous);
        let secret = Backing::Bytes(&SECRET);
        let read_only = memory.map(place, READ_ONLY as u64, Protection::READ, secret);
        Self {
            memory,
            personality: personality.expect("a personality"),
            data: data.expect("memory"),
            read_only: read_only.expect("memory"),
            wide: wide.expect("memory"),
            disk,
        }
    }

    /// Makes a call, and lets another thread go on if the call's thread waits or ends. The result is
    /// `false` if none can.
    fn call(&mut self, call: &SystemCall) -> bool {
        match self.personality.call(call, &mut self.memory) {
            CallEffect::Wait | CallEffect::EndThread => self.personality.choose_thread().is_some(),
            CallEffect::Exit(_) | CallEffect::Signal(_) => false,
            _ => true,
        }
    }

    /// The result is `false` if the program goes on no more.
    fn act(&mut self, action: Action, maps: bool) -> bool {
        match action {
            Action::Fill { word, bytes } => self.put(word, bytes),
            Action::Path { word, path } => self.put(word, PATHS[usize::from(path) % PATHS.len()]),
            Action::Buffer { word, to, length } => {
                let to = self.data + u64::from(to);
                self.put(word, &[to.to_le_bytes(), length.to_le_bytes()].concat());
            }
            Action::Call { number, arguments } => {
                let number = match number {
                    Number::Known(number) => u64::from(number % 470),
                    Number::Any(number) => number,
                };
                let is_one_of = |calls: &[c_long]| {
                    c_long::try_from(number).is_ok_and(|number| calls.contains(&number))
                };
                if !maps && is_one_of(&MAPPING) {
                    return true;
                }
                let arguments = arguments.map(|argument| self.value(&argument));
                let call = SystemCall { number, arguments };
                return self.call(&call);
            }
            Action::Touch { at, access } => {
                let access = match access {
                    Kind::Read => Access::Read,
                    Kind::Write => Access::Write,
                    Kind::Execute => Access::Execute,
                };
                self.memory.touch(self.value(&at), access);
            }
        }
        true
    }

    /// Writes as the program does: memory that the program may not write stays as it is.
    fn put(&mut self, word: u16, bytes: &[u8]) {
        let _ = self.memory.write(self.data + u64::from(word) * 4, bytes);
    }

    fn value(&self, argument: &Argument) -> u64 {
        match *argument {
            Argument::Small(value) => value.into(),
            Argument::Here => 0xffff_ff9c,
            Argument::Data(word) => self.data + u64::from(word) * 4,
            Argument::Page(page) => self.data + u64::from(page) * 4096,
            Argument::ReadOnly(offset) => self.read_only + u64::from(offset),
            Argument::Any(value) => value,
            Argument::Wide(page) => self.wide + u64::from(page) * 4096,
        }
    }

    /// Checks that the memory for reading and the disk's size have not changed.
    fn check(&self, maps: bool) {
        if !maps {
            let mut bytes = [0; READ_ONLY];
            let read = self.memory.read(self.read_only, &mut bytes);
            read.expect("mapped");
            assert!(bytes == SECRET, "memory that may only be read has changed");
        }
        assert!(self.memory.free_bytes() <= self.memory.ram().size());
        let size = self.disk.metadata().expect("a file").len();
        assert_eq!(size, DISK, "the disk's size has changed");
    }
}

fn file(name: &str, size: u64) -> File {
    let file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC).expect("a file"));
    file.set_len(size).expect("a file");
    file
}

fn path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fuzz_target!(|program: Program| {
    let mut machine = Machine::new();
    for action in program.actions {
        if !machine.act(action, program.maps) {
            break;
        }
    }
    machine.check(program.maps);
});
