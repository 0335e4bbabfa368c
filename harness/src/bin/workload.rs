//! The program that runs in every target: a thin main over `isobench_workloads`.
//!
//! It has a C `main`. Rust's own would first poll the standard streams, install handlers for SIGPIPE, SIGSEGV
//! and SIGBUS, and read `/proc/self/maps`: 17 system calls that a workload has no use for, each of them a VM exit in
//! a microVM without a guest OS. What is left before `main` is the C library's start-up, as in any static C program.
#![no_main]
#![expect(
    unsafe_code,
    reason = "`main` must keep its name for the C library to find it"
)]

use std::ffi::{c_char, c_int};

/// Called by the C library. The standard library keeps the arguments by itself (glibc passes them to `.init_array`).
#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _arguments: *const *const c_char) -> c_int {
    isobench_workloads::main().into()
}
