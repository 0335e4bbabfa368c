//! KVM microVMs: one with no guest OS, the ladder's rung 2, and one with Linux ([`linux`]), rung 3.
//!
//! Without a guest OS, the VMM loads a static Linux program into a virtual machine, enters ring 3 in long mode and serves every
//! system call itself: each is a VM exit. A start, in order, and what each step needs:
//!
//! 1. [`kvm::Hypervisor::open`]: `/dev/kvm`, and permission to use it.
//! 2. create the VM: memory in the kernel, nothing else.
//! 3. guest RAM: address space, no memory yet; KVM learns where it is.
//! 4. the vCPU; on hardware also its CPUID and XCR0.
//! 5. load: the trampoline, the program's segments and stack, the page tables, the registers.
//! 6. [`confine::confine`]: the VMM's own seccomp filter.
//! 7. run: enter the guest, serve its exits, until it ends.

pub mod bare;
pub mod config;
pub mod confine;
pub mod devices;
pub mod floor;
pub mod kvm;
pub mod layout;
pub mod linux;
pub mod memory;
pub mod microvm;
pub mod phase;
pub mod probe;

#[cfg(test)]
mod guest_tests;
