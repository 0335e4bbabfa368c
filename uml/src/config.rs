//! What a guest is made from, and whether there can be such a guest.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_vmm::linux::initramfs::Initramfs;
use isobench_vmm::linux::{MemorySizeError, check_memory_size};

/// The memory of the kernel itself.
const KERNEL: ByteSize = ByteSize::mib(8);
/// The most disks. The kernel has sixteen, of which the last is the mailbox.
const MOST_DISKS: usize = 15;

/// A guest can't be what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The size of the memory is not possible.
    #[error(transparent)]
    MemorySize(#[from] MemorySizeError),
    /// The files don't fit.
    #[error(
        "the guest's files take {files}, and while the guest starts, its memory holds them twice, beside the kernel's {KERNEL}; \
         {memory} is too small: use at least --memory {}MiB", least(*files).as_u64() >> 20
    )]
    Files {
        /// The size of guest memory.
        memory: ByteSize,
        /// The size of the archive.
        files: ByteSize,
    },
    /// There are too many disks.
    #[error("{0} disks: a guest has at most {MOST_DISKS}")]
    Disks(usize),
    /// A file can't be opened.
    #[error("opening {what} {}", path.display())]
    Open {
        /// What the file is to the guest.
        what: &'static str,
        /// The file's path on the host.
        path: PathBuf,
        /// The host's answer.
        source: io::Error,
    },
    /// A path has a byte that no path can have.
    #[error("{} is no path: it contains a zero byte", .0.display())]
    Path(PathBuf),
}

/// A disk of the guest's: a file or block device of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// The path on the host.
    pub path: PathBuf,
    /// Whether the guest can't write.
    pub read_only: bool,
}

/// The guest's network card.
#[derive(Debug)]
pub struct NetworkCard {
    /// A TAP device's end, from which each read gives one packet, with no header before it.
    pub descriptor: OwnedFd,
    /// The card's Ethernet address.
    pub hardware_address: [u8; 6],
}

/// A guest, before it exists.
#[derive(Debug)]
pub struct Config {
    /// The kernel: an executable of the host's.
    pub kernel: PathBuf,
    /// The size of guest memory.
    pub memory: ByteSize,
    /// The guest's files.
    pub files: Initramfs,
    /// The guest's disks, in order: `/dev/ubda` is the first.
    pub disks: Vec<Disk>,
    /// A directory of the host's that the guest can mount, with the type `hostfs`.
    pub shared: Option<PathBuf>,
    /// The guest's network card `vec0`, if it has one.
    pub network: Option<NetworkCard>,
    /// The program's standard input, if it has one.
    pub input: Option<OwnedFd>,
    /// The program's standard output.
    pub output: OwnedFd,
    /// The program's standard error.
    pub error: OwnedFd,
}

/// A configuration that a guest can have.
#[derive(Debug)]
pub(crate) struct CheckedConfig {
    pub(crate) config: Config,
    /// The kernel's file, opened.
    pub(crate) kernel: File,
    /// The disks' paths on the host.
    pub(crate) disks: Vec<CString>,
    /// The shared directory's path on the host.
    pub(crate) shared: Option<CString>,
}

impl Config {
    /// Checks all that can be checked before the kernel starts.
    pub(crate) fn check(self) -> Result<CheckedConfig, ConfigError> {
        check_memory_size(self.memory)?;
        let files = ByteSize(self.files.size());
        if self.memory < least(files) {
            return Err(ConfigError::Files {
                memory: self.memory,
                files,
            });
        }
        if self.disks.len() > MOST_DISKS {
            return Err(ConfigError::Disks(self.disks.len()));
        }
        for disk in &self.disks {
            let mut options = File::options();
            let opened = options.read(true).write(!disk.read_only).open(&disk.path);
            opened.map_err(refused("disk", &disk.path))?;
        }
        if let Some(shared) = &self.shared {
            std::fs::read_dir(shared).map_err(refused("the shared directory", shared))?;
        }
        let kernel = File::open(&self.kernel).map_err(refused("kernel", &self.kernel))?;
        let disks = self.disks.iter().map(|disk| c_path(&disk.path));
        let disks = disks.collect::<Result<_, _>>()?;
        let shared = self.shared.as_deref().map(c_path).transpose()?;
        Ok(CheckedConfig {
            disks,
            shared,
            kernel,
            config: self,
        })
    }
}

fn refused(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ConfigError {
    let path = path.to_owned();
    move |source| ConfigError::Open { what, path, source }
}

fn c_path(path: &Path) -> Result<CString, ConfigError> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| ConfigError::Path(path.to_owned()))
}

/// The least memory of a guest with files of this size.
fn least(files: ByteSize) -> ByteSize {
    let bytes = 2 * files.as_u64() + KERNEL.as_u64();
    ByteSize(bytes.next_multiple_of(1 << 20))
}
