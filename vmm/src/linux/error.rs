//! What keeps a Linux guest from being made, from booting, and from going on.

use std::io;

use bytesize::ByteSize;
use vm_memory::GuestMemoryError;

use super::boot_params::BootParamsError;
use super::command_line::TooLong;
use super::initramfs::InitramfsError;
use super::kernel::KernelError;
use super::layout;
use super::mp_table::MOST_PROCESSORS;
use crate::confine::ConfineError;
use crate::devices::virtio::mmio::ViolationError;
use crate::kvm::KvmError;
use crate::memory::RamError;
use crate::probe::ProbeError;

/// What was asked for can't be a machine.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No memory, or too much.
    #[error(transparent)]
    Memory(#[from] RamError),
    /// No processor, or too many.
    #[error("{0} vCPUs: a guest has 1 to {MOST_PROCESSORS}")]
    Processors(u8),
    /// Too many disks.
    #[error("{0} disks and network cards: a guest has at most {most}", most = layout::VIRTIO_COUNT)]
    Devices(usize),
    /// Too many words for the kernel.
    #[error(transparent)]
    CommandLine(#[from] TooLong),
    /// The kernel can't be loaded.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The files alone don't fit.
    #[error(
        "the guest's files take {files}, and its memory is {memory}: ask for more, or give it less"
    )]
    Files {
        /// Guest memory.
        memory: ByteSize,
        /// Size of the archive.
        files: ByteSize,
    },
    /// Kernel and files don't fit.
    #[error(
        "guest memory of {memory} is too small: the kernel takes {kernel}, the guest's files {files}"
    )]
    Full {
        /// Guest memory.
        memory: ByteSize,
        /// Up to where the kernel reaches.
        kernel: ByteSize,
        /// Size of the archive.
        files: ByteSize,
    },
}

/// A Linux guest could not be started.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// What was asked for can't be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No kernel of any make runs on this host.
    #[error("{0}")]
    NoGuestKernel(String),
    /// This host's KVM can't be measured.
    #[error("probing KVM")]
    Probe(#[from] ProbeError),
    /// KVM can't be used, or refused something.
    #[error("kvm")]
    Kvm(#[from] KvmError),
    /// A file for the guest can't be read.
    #[error(transparent)]
    Files(#[from] InitramfsError),
    /// Guest memory is too small for its tables.
    #[error("writing the guest's tables")]
    Tables(#[from] GuestMemoryError),
    /// The same, of the zero page.
    #[error("writing the guest's tables")]
    BootParams(#[from] BootParamsError),
    /// An interrupt line, a random number or a thread is not to be had.
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
    /// The guest came out in a way that this VMM has no answer to.
    #[error("the guest stopped at rip={rip:#x}: {what}")]
    Stopped {
        /// Where.
        rip: u64,
        /// Why.
        what: String,
    },
}
