//! The program that runs in every target: a thin main over `isobench_workloads`.
//!
//! The start of a target is measured, and not the start of a C library. glibc starts with 68 CPUID
//! instructions (2.36, Intel), each a VM exit in any virtual machine. A dozen system calls follow,
//! each a VM exit in a microVM without a guest OS. On the development host, both together are 80 %
//! of a bare process's start. So the program has an entry point of its own, which serves `ready`
//! with two system calls and gives all else to the C library. `ready --libc` goes through the C
//! library, as any ordinary program does, and shows the cost of the C library in each target.
//!
//! The program also has a C `main`. Rust's own `main` would first poll the standard streams,
//! install handlers for SIGPIPE, SIGSEGV and SIGBUS, and read `/proc/self/maps`: 17 more system
//! calls that a workload doesn't need.
#![no_main]
#![expect(
    unsafe_code,
    reason = "the entry point is assembly, and the C library finds `main` by its name"
)]

use std::arch::naked_asm;
use std::ffi::{c_char, c_int};

use isobench_workloads::protocol::READY_LINE;

static READY: [u8; READY_LINE.len()] = *READY_LINE.as_bytes().first_chunk().unwrap();

unsafe extern "C" {
    /// The C library's entry point (crt1.o).
    fn _start();
}

/// The program's entry point, which `build.rs` gives to the linker.
///
/// The stack holds the number of arguments and then pointers to the arguments (x86-64 ABI, 3.4.1).
/// If the arguments are a name and `ready`, the program makes one write and exits. If the write
/// fails, the C library's `main` writes again and reports the failure.
#[unsafe(naked)]
#[unsafe(no_mangle)]
extern "C" fn workload_start() {
    // SAFETY: the code jumps to `_start` with the stack and RDX as the kernel left them, or ends
    // the process. The code reads six bytes of the argument. They are mapped even if the argument
    // is shorter, because the program's file name and 8 zero bytes lie above it.
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
        // RDX is a function that the C library calls at exit; zero stands for none.
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

/// The C library calls this function. The standard library has its own copy of the arguments,
/// because glibc passes them to the functions of `.init_array`.
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    isobench_workloads::main().into()
}
