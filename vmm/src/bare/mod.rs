//! The guest without an operating system: the ladder's rung 2. One Linux program runs in ring 3,
//! and a trampoline in ring 0.
//!
//! The VMM loads a static program into the VM, enters ring 3 in long mode and serves every system
//! call itself: each is a VM exit. A start, in order, and what each step needs:
//!
//! 1. [`crate::kvm::Hypervisor::open`] needs `/dev/kvm`, and permission to use the device.
//! 2. The VM is created: memory in the kernel, nothing else.
//! 3. Guest RAM is mapped: address space, no memory yet. KVM learns the address.
//! 4. The vCPU is created, or several. On hardware KVM it also gets its CPUID and XCR0.
//! 5. The trampoline, the program's segments and stack, the page tables and the registers are put
//!    in place ([`MicroVm::boot`]).
//! 6. A thread is started for each further vCPU, and the VMM confines itself with a seccomp filter
//!    ([`confine::confine`]).
//! 7. The VMM enters the guest and serves its exits until the program ends ([`MicroVm::run`]).

pub mod address_space;
mod config;
pub mod confine;
mod contexts;
mod elf_headers;
mod ending;
mod error;
pub mod exception;
mod faults;
pub mod floor;
mod guest_mode;
pub mod layout;
pub mod loader;
mod microvm;
mod not_a_program;
mod parts;
mod paused;
mod phase;
mod processor;
pub mod program;
pub(crate) mod registers;
pub mod resume;
mod run_loop;
mod scheduling;
mod shared;
mod signal_frame;
pub mod snapshot;
pub mod stack;
pub mod syscalls;
mod time_slice;
pub(crate) mod trampoline;
mod vcpus;
mod vsyscall;

#[cfg(test)]
pub(crate) mod guest_tests;
#[cfg(test)]
mod lazy_guest_tests;
#[cfg(test)]
mod program_tests;
#[cfg(test)]
mod resume_tests;
#[cfg(test)]
mod thread_guest_tests;
#[cfg(test)]
mod vsyscall_tests;

pub use config::{Config, DEFAULT_MEMORY, MOST_PROCESSORS, ProcessorsError};
pub use ending::{Ending, Stopped};
pub use error::{BootError, RestoreError, RunError};
pub use microvm::MicroVm;
pub use parts::{FilePages, ProgramParts};
pub use phase::Phase;
pub use vcpus::Confine;
