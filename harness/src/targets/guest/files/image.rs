//! An image in a guest: its merged layers become a directory beside `/init`, and `/init` makes that
//! directory the root.
//!
//! All files are in the guest's first file system, so the guest needs no disk and no file system
//! driver, and isobench needs no other tool on the host. A file's times and extended attributes are
//! left out: isobench's kernel doesn't read the times, and the archive's format can't hold extended
//! attributes.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use isobench_container::image::{Entry, EntryKind, merged};
use isobench_container::{IdMap, Privilege, User};
use isobench_vmm::linux::initramfs::{Attributes, Initramfs, InitramfsError, Node};
use isobench_workloads::guest_init::{self, Orders};

use super::GuestFilesError;

/// The image's directory in the guest, before the directory becomes the root.
const ROOT: &str = "/image";
/// The directories over which the guest mounts file systems. As in a container, these directories
/// replace whatever the image has at their paths, such as a link, and the image's files below them
/// are left out.
const MOUNTED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// An image, and how its programs are started.
#[derive(Debug)]
pub struct GuestImage<'f> {
    /// The image's layers, the lowest first.
    pub layers: &'f [PathBuf],
    /// The directory in which the program starts.
    pub working_directory: &'f Path,
    /// The user of the program.
    pub user: &'f User,
}

impl GuestImage<'_> {
    /// Adds the image's files to `files`, and the image's properties to the orders for `/init`.
    pub(super) fn add_to(
        &self,
        files: &mut Initramfs,
        orders: &mut Orders,
    ) -> Result<(), GuestFilesError> {
        files.directory(ROOT)?;
        for directory in MOUNTED {
            files.directory(&format!("{ROOT}{directory}"))?;
        }
        for entry in merged(
            self.layers,
            IdMap::of_user_namespace(Privilege::of_this_process()),
        )? {
            let is_hidden = MOUNTED.iter().any(|place| entry.path.starts_with(place));
            if !is_hidden {
                add(files, &entry)?;
            }
        }
        let directory = self.working_directory.as_os_str().as_bytes();
        orders.root = Some(CString::new(ROOT)?);
        orders.directory = Some(CString::new(directory)?);
        orders.user = guest_init::User {
            uid: self.user.uid,
            gid: self.user.gid,
            groups: self.user.groups.clone(),
        };
        Ok(())
    }
}

fn add(files: &mut Initramfs, entry: &Entry) -> Result<(), InitramfsError> {
    let relative = entry.path.strip_prefix("/").unwrap_or(&entry.path);
    let attributes = Attributes {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
    };
    let node = match &entry.kind {
        EntryKind::Directory => Node::Directory,
        EntryKind::File {
            host,
            size,
            identity,
        } => Node::File {
            host,
            size: *size,
            identity: *identity,
        },
        EntryKind::SymbolicLink(target) => Node::SymbolicLink(target),
        EntryKind::Fifo => Node::Fifo,
    };
    files.node(&Path::new(ROOT).join(relative), attributes, &node)
}
