//! Why a Linux guest can't be started, or can't go on.

use std::io;

use vm_memory::GuestMemoryError;

use super::boot::boot_params::BootParamsError;
use super::config::ConfigError;
use super::initramfs::InitramfsError;
use crate::confine::ConfineError;
use crate::devices::virtio::mmio::ViolationError;
use crate::kvm::KvmError;

/// A Linux guest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// No machine can be what was asked for.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// A file for the guest can't be read.
    #[error(transparent)]
    Files(#[from] InitramfsError),
    /// The guest's tables can't be written into guest memory.
    #[error("writing the guest's tables")]
    Tables(#[from] GuestMemoryError),
    /// The zero page can't be written into guest memory.
    #[error("writing the guest's tables")]
    BootParams(#[from] BootParamsError),
    /// The host doesn't give an interrupt line, a random number or a thread.
    #[error("asking the host for {0}")]
    Host(&'static str, #[source] io::Error),
    /// The VMM can't be confined.
    #[error("confining the VMM")]
    Confine(#[from] ConfineError),
}

/// A running guest cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// KVM refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// The guest breaks a device's rules.
    #[error(transparent)]
    Violation(#[from] ViolationError),
    /// A thread of the VMM can't be confined.
    #[error("confining the VMM")]
    Confine(#[from] ConfineError),
    /// The guest came out in a way for which this VMM has no answer.
    #[error("the guest stopped at rip={rip:#x}: {what}")]
    Stopped {
        /// The address of the guest's instruction.
        rip: u64,
        /// The guest's exit.
        what: String,
    },
}
