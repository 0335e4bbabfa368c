//! KVM behind types of our own. No code here knows a device or a guest.
//!
//! A user opens a [`Hypervisor`], makes a VM with it, gives the VM memory ([`crate::memory`]) and
//! vCPUs, and enters a vCPU over and over. Each entry ends with an exit ([`exits`]).

mod cpuid;
pub mod exits;
pub(crate) mod extended_state;
pub(crate) mod features;
mod hypervisor;
mod kind;
pub(crate) mod registers;
mod vcpu;

pub use hypervisor::{Hypervisor, KvmError};
pub use kind::KvmKind;
pub(crate) use vcpu::StartRegisters;
pub use vcpu::Vcpu;
