//! The root directory of the kernel's process on the host. It holds what the kernel opens, and
//! nothing else.
//!
//! The kernel is a program of the host's, and a guest's root user can have it open any file
//! (`mount -t hostfs`), whatever its command line says. So the kernel's process gets a root of its
//! own: a file system in memory with the guest's memory, files and mailbox, the disks and the shared
//! directory, and the host's libraries, which can't be written to.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};

use isobench_container::mount::{self, Reach};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{chroot, fchdir, ftruncate};

use crate::child_step::{ChildError, ChildStep};
use crate::config::CheckedConfig;
use isobench_workloads::guest_init::frames;

/// The archive of the guest's files.
pub(crate) const INITRD: &str = "initrd";
/// The mailbox for standard input.
pub(crate) const MAILBOX: &str = "mailbox";
/// A disk's name, before its number.
pub(crate) const DISK: &str = "disk";
/// The shared directory.
pub(crate) const SHARED: &str = "shared";

/// The directories of the host's with the dynamic linker and libraries. A host need not have all.
const LIBRARIES: [&CStr; 6] = [
    c"/lib",
    c"/lib64",
    c"/usr/lib",
    c"/usr/lib64",
    c"/nix/store",
    c"/gnu/store",
];

/// The memory for files of the kernel's own, beside guest memory, in bytes.
const FOR_FILES: u64 = 4 << 20;

/// The name of the file with this number.
pub(crate) fn numbered(name: &str, number: usize) -> String {
    format!("{name}{number}")
}

/// Makes the root, and enters it. The process has a mount namespace of its own.
pub(crate) fn enter(config: &CheckedConfig) -> Result<(), ChildError> {
    let size = config.config.memory.as_u64() + config.config.files.size() + FOR_FILES;
    mount::make_all_private().map_err(ChildStep::Mounts.failed())?;
    let size = CString::new(size.to_string()).expect("digits");
    // Programs on a tmpfs can be executed, as the kernel maps guest memory.
    let root = mount::new_tmpfs(c"0700", Some(&size)).map_err(ChildStep::Root.failed())?;
    // A path that begins with a slash still leads to the old root.
    mount::attach(&root, c"/").map_err(ChildStep::Root.failed())?;
    fchdir(&root).map_err(ChildStep::Root.failed())?;
    for libraries in LIBRARIES {
        bind_libraries(libraries).map_err(ChildStep::Libraries.failed())?;
    }
    for (number, disk) in config.disks.iter().enumerate() {
        bind_disk(disk, &numbered(DISK, number)).map_err(ChildStep::Disk.failed())?;
    }
    if let Some(shared) = &config.shared {
        bind_directory(shared, SHARED).map_err(ChildStep::Shared.failed())?;
    }
    let initrd = File::from(create(INITRD).map_err(ChildStep::Files.failed())?);
    let saved = config.config.files.save(&initrd);
    saved.map_err(|_| ChildStep::Files.failed()(Errno::EIO))?;
    let mailbox = create(MAILBOX).map_err(ChildStep::Files.failed())?;
    let size = frames::MAILBOX.try_into().expect("a small number");
    ftruncate(&mailbox, size).map_err(ChildStep::Files.failed())?;
    chroot(".").map_err(ChildStep::Root.failed())
}

/// Shows a directory of libraries at the same path, read-only, unless the host has no such directory.
fn bind_libraries(path: &CStr) -> Result<(), Errno> {
    let copy = match mount::clone_mount(path, Reach::WithMountsBelow) {
        Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(()),
        copy => copy?,
    };
    mount::make_read_only(&copy)?;
    let inside = path.to_bytes().strip_prefix(b"/").unwrap_or_default();
    for (end, _) in inside.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        make_directory(&inside[..end])?;
    }
    make_directory(inside)?;
    let inside = CString::new(inside).expect("a part of a C string");
    mount::attach(&copy, &inside)
}

fn bind_directory(path: &CStr, name: &str) -> Result<(), Errno> {
    make_directory(name.as_bytes())?;
    let copy = mount::clone_mount(path, Reach::WithMountsBelow)?;
    mount::attach(
        &copy,
        &CString::new(name).expect("a name without zero bytes"),
    )
}

fn bind_disk(path: &CStr, name: &str) -> Result<(), Errno> {
    create(name)?;
    let copy = mount::clone_mount(path, Reach::ThisMount)?;
    mount::attach(
        &copy,
        &CString::new(name).expect("a name without zero bytes"),
    )
}

/// Makes a directory in the working directory, unless there is one.
fn make_directory(name: &[u8]) -> Result<(), Errno> {
    let here = open(".", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    match mkdirat(here.as_fd(), name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes an empty file in the working directory.
fn create(name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
    let here = open(".", OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    openat(here.as_fd(), name, flags, Mode::from_bits_truncate(0o600))
}
