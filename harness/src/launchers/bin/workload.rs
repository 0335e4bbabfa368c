//! The program that runs in every target: a thin main over `isobench_workloads`.
//!
//! What is to be measured is the start of a target, and not that of a C library. glibc's begins with 68 CPUID
//! instructions (2.36, Intel), each a VM exit in any virtual machine, and a dozen system calls, each a VM
//! exit in a microVM without a guest OS: on the development host that is 80 % of a bare process's start. So
//! the program has an entry point of its own, which serves `ready` in two system calls, and gives everything
//! else to the C library. `ready --libc` takes the long way, as any ordinary program does, and shows what
//! that costs in each target.
//!
//! It also has a C `main`. Rust's own would first poll the standard streams, install handlers for SIGPIPE,
//! SIGSEGV and SIGBUS and read `/proc/self/maps`: 17 more system calls that a workload has no use for.
#![no_main]
#![expect(
    unsafe_code,
    reason = "an entry point is assembly, and `main` must keep its name for the C library to find it"
)]

use std::arch::naked_asm;
use std::ffi::{c_char, c_int};

use isobench_workloads::protocol::READY_LINE;

static READY: [u8; READY_LINE.len()] = *READY_LINE.as_bytes().first_chunk().unwrap();

unsafe extern "C" {
    /// The C library's entry point (crt1.o).
    fn _start();
}

/// Where the kernel enters the program; `build.rs` tells the linker.
///
/// The stack holds the number of arguments and then pointers to them (x86-64 ABI, 3.4.1). If they are a
/// name and `ready`, one write and an exit are all. A write that fails is left to the long way to report.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn workload_start() {
    // SAFETY: jumps to `_start` with the stack and RDX as the kernel left them, or ends the process. The six bytes
    // read from the argument are mapped even if it is shorter: the program's file name and 8 zero bytes lie above it.
    naked_asm!(
        "cmp qword ptr [rsp], 2",
        "jne {libc}",
        "mov rax, [rsp + 16]",
        "cmp dword ptr [rax], {read}",
        "jne {libc}",
        "cmp word ptr [rax + 4], {y}",
        "jne {libc}",
        "mov eax, {write}",
        "mov edi, 1",
        "lea rsi, [rip + {line}]",
        "mov edx, {length}",
        "syscall",
        "cmp rax, {length}",
        // RDX is a function for the C library to call at exit, unless it is zero.
        "mov edx, 0",
        "jne {libc}",
        "mov eax, {exit_group}",
        "xor edi, edi",
        "syscall",
        "ud2",
        libc = sym _start,
        line = sym READY,
        length = const READY.len(),
        read = const u32::from_le_bytes(*b"read"),
        y = const u16::from_le_bytes(*b"y\0"),
        write = const libc::SYS_write,
        exit_group = const libc::SYS_exit_group,
    )
}

/// Called by the C library. The standard library keeps the arguments by itself (glibc passes them to `.init_array`).
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    isobench_workloads::main().into()
}
