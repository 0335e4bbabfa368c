//! What the root is made of, prepared by the launcher before the clone.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::fs::FileType;
use std::os::fd::OwnedFd;

use crate::sys::mount::{self, Reach};

/// How the layers of a container became one root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootKind {
    /// By overlayfs.
    Overlay,
    /// By binding the layers' top-level entries read-only into a writable directory. If two layers
    /// have an entry of the same name, the higher layer's entry is seen.
    Binds,
}

/// Whether the container may write to a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The container may read and write.
    ReadWrite,
    /// The container may only read.
    ReadOnly,
}

/// What a mount is mounted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceKind {
    /// A directory.
    Directory,
    /// A file.
    File,
}

impl PlaceKind {
    /// The kind of place on which something of the type `mounted` can be mounted.
    pub fn of(mounted: FileType) -> Self {
        if mounted.is_dir() {
            Self::Directory
        } else {
            Self::File
        }
    }
}

/// A directory or file of the host that gets into the container.
pub struct Source<'c> {
    /// The absolute path on the host.
    pub path: Cow<'c, CStr>,
    /// A copy of the source's mount, if the launcher has made one. A privileged launcher does: the
    /// first process, being root only in its own user namespace, might not get through the
    /// directories on the way. Otherwise the first process makes the copy.
    pub mount: Option<OwnedFd>,
}

impl Source<'_> {
    /// Takes the copy of the source's mount, or makes one.
    pub(super) fn take(&mut self) -> nix::Result<OwnedFd> {
        match self.mount.take() {
            Some(mount) => Ok(mount),
            None => mount::clone_mount(&self.path, Reach::WithMountsBelow),
        }
    }
}

/// A read-only layer, and the directory of the base where the layer is attached.
pub struct Layer<'c> {
    /// The layer.
    pub source: Source<'c>,
    /// The directory: `l0`, `l1` and so on.
    pub point: CString,
}

/// A bind mount that the user asked for.
pub struct BindMount<'c> {
    /// The directory or file on the host.
    pub source: Source<'c>,
    /// The directories to make on the way to `target`, outermost first.
    pub parents: &'c [CString],
    /// The path in the container.
    pub target: &'c CStr,
    /// Whether source and target are directories or files.
    pub kind: PlaceKind,
    /// Whether the container may write to the source.
    pub access: Access,
}

/// A top-level entry of a layer, in a root without overlayfs.
pub enum Entry {
    /// A directory or file, bound read-only.
    Bind {
        /// The path in the attached layer, such as `l0/usr`.
        from: CString,
        /// The path in the root, such as `u/usr`.
        to: CString,
        /// Whether the entry is a directory or a file.
        kind: PlaceKind,
    },
    /// A symbolic link, which is made anew.
    Link {
        /// What the link says.
        content: CString,
        /// The path in the root, such as `u/bin`.
        at: CString,
    },
}

/// How the layers become one root.
pub enum Union {
    /// By overlayfs.
    Overlay {
        /// The mount options. Their paths are relative to the base.
        options: CString,
    },
    /// By binding the layers' top-level entries.
    Binds {
        /// The entries of all layers.
        entries: Vec<Entry>,
    },
}

/// A hierarchy of cgroups that the container sees.
pub struct CgroupView {
    /// The type of its file system.
    pub kind: &'static CStr,
    /// The mount options: the controllers of v1.
    pub options: Option<CString>,
    /// The path in the base, while the root is prepared.
    pub prepared: CString,
    /// The path in the container.
    pub place: CString,
}

/// What is mounted in /dev for terminals.
pub struct TerminalsPlan {
    /// The mount options of devpts.
    pub options: CString,
    /// The path on the host of the launcher's own terminal, if there is one.
    pub own: Option<CString>,
}

/// What the root is made of.
pub struct RootPlan<'c> {
    /// The base directory on a disk; without one the base is a fresh tmpfs.
    pub base: Option<Source<'c>>,
    /// The layers, lowest first.
    pub layers: Vec<Layer<'c>>,
    /// How the layers become one root.
    pub union: Union,
    /// What is bound into the root once the root is up.
    pub binds: Vec<BindMount<'c>>,
    /// What is mounted for terminals; `None` if the container can make none.
    pub terminals: Option<TerminalsPlan>,
    /// The cgroups that the container sees.
    pub cgroups: Vec<CgroupView>,
    /// What the container may do to /proc and to the devices in /dev; without it the root has
    /// neither directory.
    pub proc_and_devices: Option<Access>,
}
