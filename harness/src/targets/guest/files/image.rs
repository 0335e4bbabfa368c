//! An image in a guest: its merged layers become a directory beside `/init`, which makes that the root.
//!
//! All files come along, in the guest's first file system, so no disk, no file system driver and no tool of the host's is
//! needed. Of what an image says of a file, times and extended attributes stay behind: the format has no place for the
//! second, and isobench's kernel doesn't read the first.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use isobench_container::image::{Entry, EntryKind, merged};
use isobench_container::{IdMap, Privilege, User};
use isobench_vmm::linux::initramfs::{Attributes, Initramfs, InitramfsError, Node};
use isobench_workloads::guest_init::{self, Orders};

use super::GuestFilesError;

/// Where the image is in the guest, until it is the root.
const ROOT: &str = "/image";
/// Directories that the guest mounts something on: nothing that the image has in their place, a link say, comes before them,
/// and nothing in them would be seen. As in a container.
const MOUNTED: [&str; 3] = ["/dev", "/proc", "/sys"];

/// An image, and what its configuration says of its programs.
#[derive(Debug)]
pub struct GuestImage<'f> {
    /// Its layers, the lowest first.
    pub layers: &'f [PathBuf],
    /// Where the program starts.
    pub working_directory: &'f Path,
    /// Who it runs as.
    pub user: &'f User,
}

impl GuestImage<'_> {
    /// Adds all that is in it, and what `/init` has to know.
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
        EntryKind::SymbolicLink(says) => Node::SymbolicLink(says),
        EntryKind::Fifo => Node::Fifo,
    };
    files.node(&Path::new(ROOT).join(relative), attributes, &node)
}
