//! The guest with a Linux kernel of its own: the ladder's rung 4.
//!
//! A start, in order, and what each step needs:
//!
//! 1. [`crate::probe::check_guest_kernel`] finds out whether a kernel can run on this host's KVM.
//! 2. The VM is created, with the interrupt controllers that KVM emulates.
//! 3. Guest memory is mapped: address space, of which no page is touched yet.
//! 4. The vCPUs are created, and get the features of the host's processor.
//! 5. The kernel, the files and the tables that a firmware would write ([`boot`]) are put into
//!    guest memory.
//! 6. All threads are confined ([`confine`]).
//! 7. The guest runs: the kernel boots, `/init` starts the program, and the program's exit code
//!    ends the machine.

mod board;
pub mod boot;
mod config;
pub mod confine;
mod ending;
mod error;
pub mod initramfs;
pub mod layout;
mod machine;
mod mapped_file;
mod memory_size;
mod phase;
mod sparse_file;
mod threads;
mod translate;
mod vcpu;

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
pub(crate) mod machine_tests;

pub use board::{Board, EndCause, OnPhase};
pub use boot::kernel::Kernel;
pub use config::{CheckedConfig, Config, ConfigError};
pub use ending::{Ending, OnEnd};
pub use error::{BootError, RunError};
pub use machine::Machine;
pub use memory_size::{MemorySizeError, check_memory_size};
pub use phase::Phase;
