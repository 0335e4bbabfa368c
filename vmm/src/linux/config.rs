//! What a Linux guest is made from, and whether a machine can have all that.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;

use super::boot::command_line::{self, TooLong};
use super::boot::kernel::{Kernel, KernelError};
use super::boot::mp_table::MOST_PROCESSORS;
use super::initramfs::Initramfs;
use super::layout;
use super::memory_size::{MemorySizeError, check_memory_size};
use crate::devices::serial::KernelMessages;
use crate::devices::virtio::block::Block;
use crate::devices::virtio::net::Net;
use crate::kvm::exits::ExitCounts;
use crate::memory::{MemoryError, PAGE};

/// No machine can be what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The size of the memory is not possible.
    #[error(transparent)]
    MemorySize(#[from] MemorySizeError),
    /// The host refused address space for guest memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is no processor, or there are too many.
    #[error("{0} vCPUs: a guest has 1 to {MOST_PROCESSORS}")]
    Processors(u8),
    /// There are too many disks and network cards.
    #[error("{0} disks and network cards: a guest has at most {most}", most = layout::VIRTIO_COUNT)]
    Devices(usize),
    /// The kernel's command line is too long.
    #[error(transparent)]
    CommandLine(#[from] TooLong),
    /// The kernel can't be loaded.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The files alone don't fit.
    #[error(
        "the guest's files take {files}, and its memory is {memory}: ask for more, or give the guest less"
    )]
    Files {
        /// The size of guest memory.
        memory: ByteSize,
        /// The size of the archive.
        files: ByteSize,
    },
    /// Kernel and files don't fit together.
    #[error(
        "guest memory of {memory} is too small: the kernel takes the first {kernel}, and the guest's files \
         take {files}; use at least --memory {}MiB",
        .least.as_u64() >> 20
    )]
    Full {
        /// The size of guest memory.
        memory: ByteSize,
        /// The end of the kernel in guest memory.
        kernel: ByteSize,
        /// The size of the archive.
        files: ByteSize,
        /// The least memory for both.
        least: ByteSize,
    },
}

/// A Linux guest's machine, before it exists.
#[derive(Debug)]
pub struct Config {
    /// The size of guest memory.
    pub memory: ByteSize,
    /// The number of processors.
    pub processors: u8,
    /// The guest's kernel.
    pub kernel: Kernel,
    /// The guest's files.
    pub files: Initramfs,
    /// Words for the kernel's command line, after those that this machine needs.
    pub append: String,
    /// The guest's disks, in order: `/dev/vda` is the first.
    pub disks: Vec<Block>,
    /// The guest's network card `eth0`, if it has one.
    pub network: Option<Net>,
    /// Where the messages of the guest's kernel go.
    pub kernel_messages: KernelMessages,
    /// The program's standard input, if it has one.
    pub input: Option<OwnedFd>,
    /// The program's standard output.
    pub output: OwnedFd,
    /// The program's standard error.
    pub error: OwnedFd,
    /// The time after which the guest is stopped, if any.
    pub limit: Option<Duration>,
    /// The counts to which the guest's exits are added.
    pub exits: Arc<ExitCounts>,
}

/// A configuration that a machine can have.
#[derive(Debug)]
pub struct CheckedConfig {
    /// The configuration.
    pub(super) config: Config,
    /// The kernel's whole command line.
    pub(super) command_line: Vec<u8>,
}

impl Config {
    /// Checks all that can be checked without KVM.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(self) -> Result<CheckedConfig, ConfigError> {
        check_memory_size(self.memory)?;
        if !(1..=MOST_PROCESSORS).contains(&self.processors) {
            return Err(ConfigError::Processors(self.processors));
        }
        if self.device_count() > layout::VIRTIO_COUNT {
            return Err(ConfigError::Devices(self.device_count()));
        }
        let files = ByteSize(self.files.size());
        if files >= self.memory {
            return Err(ConfigError::Files {
                memory: self.memory,
                files,
            });
        }
        if let Some(end) = self.kernel.end() {
            self.start_of_files(end)?;
        }
        let command_line = command_line::command_line(self.device_count(), &self.append)?;
        Ok(CheckedConfig {
            config: self,
            command_line,
        })
    }

    /// The address of the archive behind a kernel that ends at `kernel_end`: at the end of low memory,
    /// as far from the kernel as possible.
    pub(super) fn start_of_files(&self, kernel_end: u64) -> Result<u64, ConfigError> {
        let size = self.files.size();
        let low_end = layout::memory_regions(self.memory)[0].1;
        let start = low_end.saturating_sub(size) & !(PAGE - 1);
        if start < kernel_end {
            return Err(ConfigError::Full {
                memory: self.memory,
                kernel: ByteSize(kernel_end),
                files: ByteSize(size),
                least: self.files.least_memory_behind(kernel_end),
            });
        }
        Ok(start)
    }

    /// The number of virtio devices.
    fn device_count(&self) -> usize {
        self.disks.len() + usize::from(self.network.is_some())
    }
}
