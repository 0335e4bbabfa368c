//! Guests of a few bytes of machine code, on this host's KVM.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

use bytesize::ByteSize;
use isobench_testing::{Need, skip};

use super::exception::Signal;
use super::program::Program;
use super::stack::Start;
use super::syscalls::{FileTree, Personality, Settings};
use super::{BootError, Config, Ending, MicroVm, RunError, layout};
use crate::devices::console::Console;
use crate::kvm;

/// A program header: the type, the flags, the offset, the address, and the lengths in the file and
/// in memory.
pub(crate) type TestHeader = (u32, u32, u64, u64, u64, u64);

/// The address at which the file of [`elf`] and [`elf_with`] is mapped.
pub(crate) const IMAGE: u64 = 0x40_0000;

/// Builds a static program of one page: an ELF header, one program header, and `code`.
pub(crate) fn elf(code: &[u8]) -> Vec<u8> {
    elf_with(&[], code)
}

/// Builds the program of [`elf`] with more program headers. The first header is the segment with
/// `code`, which begins after the headers.
pub(crate) fn elf_with(more: &[TestHeader], code: &[u8]) -> Vec<u8> {
    let start = 0x40 + 56 * (1 + more.len());
    let length = (start + code.len()) as u64;
    let mut file = vec![0; 0x40];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(0x10, &2_u16.to_le_bytes());
    put(0x12, &62_u16.to_le_bytes());
    put(0x14, &1_u32.to_le_bytes());
    put(0x18, &(IMAGE + start as u64).to_le_bytes());
    put(0x20, &0x40_u64.to_le_bytes());
    put(0x34, &0x40_u16.to_le_bytes());
    put(0x36, &56_u16.to_le_bytes());
    put(0x38, &u16::try_from(1 + more.len()).unwrap().to_le_bytes());
    let first = (1, 5, 0, IMAGE, length, length);
    for &(kind, flags, offset, address, in_file, in_memory) in [first].iter().chain(more) {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [offset, address, 0, in_file, in_memory, 0] {
            file.extend(word.to_le_bytes());
        }
    }
    file.extend_from_slice(code);
    file
}

/// The address of the code of [`elf`].
const CODE: u64 = 0x40_0078;

/// Runs `code`. The result is `None` if the host has no KVM.
pub(super) fn try_run(code: &[u8]) -> Option<Result<Ending, RunError>> {
    try_run_on(1, code)
}

/// Runs `code` with so many vCPUs. The result is `None` if the host has no KVM.
pub(super) fn try_run_on(processors: u8, code: &[u8]) -> Option<Result<Ending, RunError>> {
    try_run_file(processors, &elf(code))
}

/// Runs a program of these bytes. The result is `None` if the host has no KVM.
fn try_run_file(processors: u8, file: &[u8]) -> Option<Result<Ending, RunError>> {
    let stored = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stored.path(), file).unwrap();
    let program = Program::open(stored.path()).unwrap();
    let null = || {
        OwnedFd::from(
            File::options()
                .read(true)
                .write(true)
                .open("/dev/null")
                .unwrap(),
        )
    };
    let mut personality = Personality::new(Settings {
        tree: FileTree::new(Path::new("/program"), program.file.try_clone().unwrap()).unwrap(),
        console: Console::new(null(), null(), null()),
        disk: None,
        memory: ByteSize::mib(16),
        stack: ByteSize::mib(4),
        trace: false,
    })
    .unwrap();
    let config = Config {
        memory: ByteSize::mib(16),
        processors,
        program,
        start: Start::default(),
    };
    match MicroVm::boot(&config, &|_| ()) {
        Ok(mut vm) => Some(vm.run(&mut personality, &|_| Ok(()), &|_| ())),
        Err(BootError::Kvm(error @ (kvm::KvmError::Missing | kvm::KvmError::NotPermitted))) => {
            skip(Need::Kvm, error);
            None
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// Runs `code`, which must exit with `status`.
#[track_caller]
pub(super) fn expect_exit(code: &[u8], status: u8) {
    if let Some(result) = try_run(code) {
        assert_eq!(result.unwrap(), Ending::Exited(status));
    }
}

/// Runs `code`, which must die of `signal` at `offset` of the code.
#[track_caller]
fn expect_death(code: &[u8], signal: Signal, offset: u64, address: Option<u64>) {
    if let Some(result) = try_run(code) {
        let Ending::Died(death) = result.unwrap() else {
            panic!("the guest survived");
        };
        assert_eq!(
            (death.signal, death.rip, death.address),
            (signal, CODE + offset, address),
            "{death}"
        );
    }
}

/// `mov $number, %eax; syscall`
fn call(number: u8) -> Vec<u8> {
    vec![0xb8, number, 0, 0, 0, 0x0f, 0x05]
}

/// `mov $value, %edi`, and the same for RSI, RDX, R10 and R8.
fn arguments(values: &[u32]) -> Vec<u8> {
    let loads: [&[u8]; 5] = [&[0xbf], &[0xbe], &[0xba], &[0x41, 0xba], &[0x41, 0xb8]];
    values
        .iter()
        .zip(loads)
        .flat_map(|(value, load)| [load, &value.to_le_bytes()].concat())
        .collect()
}

/// A system call with its arguments.
pub(super) fn call_with(number: u8, values: &[u32]) -> Vec<u8> {
    [arguments(values), call(number)].concat()
}

pub(super) const EXIT: u8 = 60;
pub(super) const MMAP: u8 = 9;
pub(super) const MPROTECT: u8 = 10;
const MUNMAP: u8 = 11;
/// The address at which the tests map. It lies below 2 GiB, so that it fits into an immediate.
pub(super) const PAGE_AT: u32 = 0x2000_0000;

/// Maps two writable pages at [`PAGE_AT`], and writes to the first.
pub(super) fn map_and_touch() -> Vec<u8> {
    // MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED
    [
        call_with(MMAP, &[PAGE_AT, 0x2000, 3, 0x32, u32::MAX]),
        touch(),
    ]
    .concat()
}

/// `movb $1, (PAGE_AT)`
pub(super) fn touch() -> Vec<u8> {
    [&[0xc6, 0x04, 0x25][..], &PAGE_AT.to_le_bytes(), &[1]].concat()
}

/// `mov (PAGE_AT), %al`
pub(super) fn peek() -> Vec<u8> {
    [&[0x8a, 0x04, 0x25][..], &PAGE_AT.to_le_bytes()].concat()
}

#[test]
fn a_program_exits_with_its_code() {
    expect_exit(&call_with(EXIT, &[7]), 7);
}

#[test]
fn a_system_call_keeps_all_registers_but_three() {
    // The code fills RBX and XMM0, calls getpid, and compares them.
    let code = [
        &[0xbb, 0x11, 0, 0, 0, 0x66, 0x48, 0x0f, 0x6e, 0xc3][..], // mov $0x11, %ebx; movq %rbx, %xmm0
        &call(39),
        &[0x66, 0x48, 0x0f, 0x7e, 0xc7], // movq %xmm0, %rdi
        &[0x48, 0x29, 0xdf],             // sub %rbx, %rdi
        &call(EXIT),
    ]
    .concat();
    expect_exit(&code, 0);
}

#[test]
fn an_unmapped_page_faults_after_munmap() {
    let before = [map_and_touch(), call_with(MUNMAP, &[PAGE_AT, 0x1000])].concat();
    let at = before.len() as u64;
    for access in [touch(), peek()] {
        let code = [before.clone(), access].concat();
        expect_death(&code, Signal::Segmentation, at, Some(PAGE_AT.into()));
    }
}

#[test]
fn a_page_without_write_permission_faults() {
    let before = [
        map_and_touch(),
        call_with(MPROTECT, &[PAGE_AT, 0x1000, 1]),
        peek(),
    ]
    .concat();
    let at = before.len() as u64;
    let code = [before, touch()].concat();
    expect_death(&code, Signal::Segmentation, at, Some(PAGE_AT.into()));
}

#[test]
fn a_page_without_any_permission_faults() {
    let before = [map_and_touch(), call_with(MPROTECT, &[PAGE_AT, 0x1000, 0])].concat();
    let at = before.len() as u64;
    expect_death(
        &[before, peek()].concat(),
        Signal::Segmentation,
        at,
        Some(PAGE_AT.into()),
    );
}

#[test]
fn permission_that_comes_back_works_again() {
    let code = [
        map_and_touch(),
        call_with(MPROTECT, &[PAGE_AT, 0x1000, 0]),
        call_with(MPROTECT, &[PAGE_AT, 0x1000, 1]),
        peek(),
        call_with(MPROTECT, &[PAGE_AT, 0x1000, 3]),
        touch(),
        call_with(EXIT, &[0]),
    ]
    .concat();
    expect_exit(&code, 0);
}

#[test]
fn data_cannot_be_run() {
    let code = [
        map_and_touch(),
        vec![0xb8],
        PAGE_AT.to_le_bytes().to_vec(),
        vec![0xff, 0xe0],
    ]
    .concat();
    if let Some(result) = try_run(&code) {
        let Ending::Died(death) = result.unwrap() else {
            panic!("the guest survived");
        };
        assert_eq!(
            (death.rip, death.address),
            (PAGE_AT.into(), Some(PAGE_AT.into())),
            "{death}"
        );
        assert!(death.cause.contains("execute"), "{death}");
    }
}

/// Copies `mov $7, %edi; mov $EXIT, %eax; syscall` to the stack, and jumps there.
fn run_on_the_stack() -> Vec<u8> {
    let on_stack = [&[0xbf, 7, 0, 0, 0][..], &call(EXIT), &[0; 4]].concat();
    let mut code = Vec::new();
    for half in on_stack.rchunks(8) {
        // movabs $half, %rax; push %rax
        code.extend([&[0x48, 0xb8], half, &[0x50]].concat());
    }
    code.extend([0xff, 0xe4]); // jmp *%rsp
    code
}

#[test]
fn the_stack_runs_code_if_the_program_asks_for_that() {
    const PT_GNU_STACK: u32 = 0x6474_e551;
    for (flags, code) in [(7, 7), (6, 128 + 11)] {
        let stack = (PT_GNU_STACK, flags, 0, 0, 0, 0);
        let file = elf_with(&[stack], &run_on_the_stack());
        if let Some(result) = try_run_file(1, &file) {
            assert_eq!(result.unwrap().code(), code, "flags {flags}");
        }
    }
    if let Some(result) = try_run(&run_on_the_stack()) {
        assert_eq!(result.unwrap().code(), 128 + 11, "without the header");
    }
}

#[test]
fn code_cannot_be_written() {
    // movb $1, (0x400000)
    expect_death(
        &[0xc6, 0x04, 0x25, 0, 0, 0x40, 0, 1],
        Signal::Segmentation,
        0,
        Some(0x40_0000),
    );
}

#[test]
fn null_and_ring_0_are_out_of_reach() {
    // mov 0, %al
    expect_death(
        &[0x8a, 0x04, 0x25, 0, 0, 0, 0],
        Signal::Segmentation,
        0,
        Some(0),
    );
    for page in 0..layout::TRAMPOLINE_PAGES {
        // movabs $address, %rax; movb $1, (%rax)
        let address = layout::TRAMPOLINE + page * 4096;
        let code = [&[0x48, 0xb8][..], &address.to_le_bytes(), &[0xc6, 0x00, 1]].concat();
        expect_death(&code, Signal::Segmentation, 10, Some(address));
    }
}

#[test]
fn each_exception_has_its_signal() {
    expect_death(&[0x0f, 0x0b], Signal::Illegal, 0, None); // ud2
    expect_death(&[0x31, 0xc9, 0xf7, 0xf1], Signal::Arithmetic, 2, None); // xor %ecx, %ecx; div %ecx
    expect_death(&[0xf4], Signal::Segmentation, 0, None); // hlt
    expect_death(&[0xfa], Signal::Segmentation, 0, None); // cli
    expect_death(&[0xcc], Signal::Trap, 1, None); // int3
    expect_death(&[0x0f, 0x20, 0xd8], Signal::Segmentation, 0, None); // mov %cr3, %rax
}

#[test]
fn no_port_is_the_programs() {
    for port in [
        0,
        0x80,
        layout::EXCEPTION_PORTS,
        layout::EXCEPTION_PORTS + 14,
        layout::SYSTEM_CALL_PORT,
    ] {
        // out %al, $port; in $port, %al
        for instruction in [0xe6, 0xe4] {
            if let Some(result) = try_run(&[instruction, port]) {
                assert_eq!(result.unwrap().code(), 128 + 11, "port {port:#x}");
            }
        }
    }
}

#[test]
fn a_jump_to_the_stub_gains_nothing() {
    // mov $60, %eax; mov $3, %edi; movabs $stub, %rdx; jmp *%rdx
    // The jump is a system call on software KVM, and a fault on hardware KVM.
    let code = [
        &[0xb8, EXIT, 0, 0, 0, 0xbf, 3, 0, 0, 0, 0x48, 0xba][..],
        &layout::TRAMPOLINE.to_le_bytes(),
        &[0xff, 0xe2],
    ]
    .concat();
    if let Some(result) = try_run(&code) {
        assert!(matches!(result.unwrap().code(), 3 | 139));
    }
}

#[test]
fn hostile_flags_and_return_addresses_stay_in_ring_3() {
    // The code jumps to the stub with its own return address and flags. None may lead to ring 0.
    for rcx in [
        layout::TRAMPOLINE + 0x1400,
        0xffff_8000_0000_0000,
        0x8000_0000_0000,
        0,
    ] {
        let code = [
            &[0x48, 0xb9][..],
            &rcx.to_le_bytes(),                          // movabs $rcx, %rcx
            &[0x49, 0xc7, 0xc3, 0xff, 0xff, 0xff, 0xff], // mov $-1, %r11
            &[0xb8, 39, 0, 0, 0, 0x48, 0xba],            // mov $39, %eax
            &layout::TRAMPOLINE.to_le_bytes(),           // movabs $stub, %rdx
            &[0xff, 0xe2],                               // jmp *%rdx
        ]
        .concat();
        if let Some(result) = try_run(&code) {
            assert!(matches!(result.unwrap(), Ending::Died(_)), "{rcx:#x}");
        }
    }
}
