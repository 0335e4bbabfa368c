//! The guest with a Linux kernel of its own: the ladder's rung 3.
//!
//! A start, in order, and what each step needs:
//!
//! 1. [`machine::check_host`]: a KVM on which a kernel can run.
//! 2. create the VM with its interrupt controllers, which KVM emulates.
//! 3. guest memory: address space, none of it touched yet.
//! 4. the vCPUs, told that they are the host's processor.
//! 5. load: the kernel, the files, and what a firmware would say about the machine.
//! 6. confine all threads.
//! 7. run: the kernel boots, `/init` starts the program, and its exit code ends the machine.

pub mod boot_params;
pub mod command_line;
mod cpu;
pub mod end;
pub mod error;
pub mod initramfs;
pub mod kernel;
pub mod layout;
pub mod machine;
mod mapped_file;
pub mod memory;
pub mod mp_table;
pub mod phase;
mod sparse_file;
mod threads;
mod translate;
mod vcpu;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
pub(crate) mod machine_tests;
