//! The directory that a layer is unpacked to. It is changed only relative to its descriptor.
//!
//! A layer is written by whoever made the image, and an import may run as root. So no path of a
//! layer is ever given to a call that follows links. A directory is opened by openat2(2) with
//! `RESOLVE_BENEATH`, `RESOLVE_NO_SYMLINKS` and `RESOLVE_NO_XDEV`: then the kernel refuses any
//! symbolic link, `..` or mount on the way. A file is made by calls that take the directory's
//! descriptor and one plain component, and do not follow a link. Whatever a layer makes, in any
//! order, nothing outside of the directory can be named.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, linkat, mkfifoat, symlinkat, unlinkat};
use rustix::fs::Dir;

use super::extended;
use super::path::SafePath;

/// The attribute by which a directory hides those of the layers below, for overlayfs in a user
/// namespace.
const OPAQUE: &[u8] = b"user.overlay.opaque";

/// The kind of thing that a tree has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A character device 0/0, by which overlayfs hides what the layers below have at the path.
    Whiteout,
    /// A symbolic link.
    Link,
    /// Something else.
    Other,
}

impl Kind {
    /// The kind of thing that `stat` describes.
    pub fn of(stat: &FileStat) -> Self {
        match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFDIR => Self::Directory,
            SFlag::S_IFLNK => Self::Link,
            SFlag::S_IFCHR if stat.st_rdev == 0 => Self::Whiteout,
            _ => Self::Other,
        }
    }
}

/// An open directory of the tree.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

impl Directory {
    /// Opens the root of the tree at `path`, which is a path of the store.
    pub fn open_root(path: &Path) -> nix::Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let descriptor = nix::fcntl::open(path, flags, Mode::empty())?;
        Ok(Self { descriptor })
    }

    /// Opens the directory `path` below this one.
    pub fn open(&self, path: &SafePath) -> nix::Result<Self> {
        let path = if path.is_root() {
            Path::new(".")
        } else {
            path.as_path()
        };
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(
                ResolveFlag::RESOLVE_BENEATH
                    | ResolveFlag::RESOLVE_NO_SYMLINKS
                    | ResolveFlag::RESOLVE_NO_MAGICLINKS
                    | ResolveFlag::RESOLVE_NO_XDEV,
            );
        let descriptor = openat2(&self.descriptor, path, how)?;
        Ok(Self { descriptor })
    }

    /// The kind of the entry `name`; `None` if there is no such entry.
    pub fn kind(&self, name: &OsStr) -> nix::Result<Option<Kind>> {
        match self.stat(name) {
            Ok(stat) => Ok(Some(Kind::of(&stat))),
            Err(Errno::ENOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The attributes of the entry `name`.
    pub fn stat(&self, name: &OsStr) -> nix::Result<FileStat> {
        fstatat(&self.descriptor, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Makes the directory `name`, which only this user may enter as yet.
    pub fn make_directory(&self, name: &OsStr) -> nix::Result<()> {
        mkdirat(&self.descriptor, name, Mode::S_IRWXU)
    }

    /// Makes the file `name`, which only this user may open as yet.
    pub fn make_file(&self, name: &OsStr) -> nix::Result<File> {
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(&self.descriptor, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map(File::from)
    }

    /// Makes the symbolic link `name` with this content.
    pub fn make_link(&self, name: &OsStr, content: &OsStr) -> nix::Result<()> {
        symlinkat(content, &self.descriptor, name)
    }

    /// Makes the named pipe `name`.
    pub fn make_fifo(&self, name: &OsStr) -> nix::Result<()> {
        mkfifoat(&self.descriptor, name, Mode::S_IRUSR | Mode::S_IWUSR)
    }

    /// Hides the entries `name` of the layers below. The kernel lets any user make such a device.
    pub fn make_whiteout(&self, name: &OsStr) -> nix::Result<()> {
        mknodat(&self.descriptor, name, SFlag::S_IFCHR, Mode::empty(), 0)
    }

    /// Hides everything that the layers below have in this directory.
    pub fn make_opaque(&self) -> nix::Result<()> {
        extended::write(&self.descriptor, OPAQUE, b"y")
    }

    /// Whether this directory hides everything that the layers below have in it.
    pub fn is_opaque(&self) -> nix::Result<bool> {
        match extended::is(&self.descriptor, OPAQUE, b"y") {
            // The file system has no such attributes, as tmpfs before Linux 6.6, so this directory
            // cannot have been given one.
            Err(Errno::EOPNOTSUPP) => Ok(false),
            other => other,
        }
    }

    /// Makes `name` one more name of the entry `from` of the directory `other`.
    pub fn make_hard_link(&self, name: &OsStr, other: &Self, from: &OsStr) -> nix::Result<()> {
        linkat(
            &other.descriptor,
            from,
            &self.descriptor,
            name,
            AtFlags::empty(),
        )
    }

    /// Removes the entry `name`, which is of `kind`. A directory is removed only if it is empty.
    pub fn remove(&self, name: &OsStr, kind: Kind) -> nix::Result<()> {
        let flag = match kind {
            Kind::Directory => UnlinkatFlags::RemoveDir,
            Kind::Whiteout | Kind::Link | Kind::Other => UnlinkatFlags::NoRemoveDir,
        };
        unlinkat(&self.descriptor, name, flag)
    }

    /// Removes everything in this directory, whose directories are all this user's own.
    pub fn clear(&self) -> nix::Result<()> {
        let entries = Dir::read_from(&self.descriptor).map_err(crate::sys::errno)?;
        // Names are gathered first, because a removal may disturb the listing.
        let names: Vec<_> = entries
            .map(|entry| Ok(entry.map_err(crate::sys::errno)?.file_name().to_owned()))
            .collect::<nix::Result<_>>()?;
        for name in &names {
            let name = OsStr::from_bytes(name.to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = Kind::of(&self.stat(name)?);
            if kind == Kind::Directory {
                let path = SafePath::default().child(name);
                self.open(&path)?.clear()?;
            }
            self.remove(name, kind)?;
        }
        Ok(())
    }

    /// Opens the regular file `name` for reading; `None` if `name` is something else.
    pub fn open_file(&self, name: &OsStr) -> nix::Result<Option<File>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.descriptor, name, flags, Mode::empty())?);
        let metadata = file.metadata().map_err(|e| errno(&e))?;
        Ok(metadata.is_file().then_some(file))
    }

    /// The content of the symbolic link `name`.
    pub fn read_link(&self, name: &OsStr) -> nix::Result<std::ffi::OsString> {
        nix::fcntl::readlinkat(&self.descriptor, name)
    }

    /// A copy of the directory's descriptor, for calls that take a file.
    pub fn file(&self) -> nix::Result<File> {
        let copy = self.descriptor.as_fd().try_clone_to_owned();
        copy.map(File::from).map_err(|e| errno(&e))
    }

    /// The directory's descriptor, for calls that take a directory and a name.
    pub fn descriptor(&self) -> &OwnedFd {
        &self.descriptor
    }
}

/// The kernel's number of `error`.
pub fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}
