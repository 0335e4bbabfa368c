//! Fresh roots of an image for targets whose interface takes a directory as root.
//!
//! isobench's container, podman and docker stack the layers of an image themselves, as a part of
//! their start. For all other targets isobench mounts an overlayfs for each instance, before the
//! clock starts: the image's layers below, and an empty tmpfs on top that takes what the program
//! writes, as in isobench's container. The rows of these targets say so
//! ([`TargetInfo::image_differences`](super::TargetInfo::image_differences)).
//!
//! All mounts are in a mount namespace of the run, so they end with the run in whatever way the run
//! ends. In the namespace's own `/run` there is
//!
//! ```text
//! /run/isobench/l0 l1 ..      the layers, bound here so that overlayfs's options stay short
//! /run/isobench/NUMBER/       a tmpfs for each instance
//!     u w                     overlayfs's upper and work directories
//!     root                    where the overlayfs is mounted
//! ```

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use isobench_container::FIRST_HOST_ID;
use isobench_reports::model::Unavailable;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{Gid, Uid, chdir, chown, chroot, geteuid};

use crate::host::mounts::{MountNamespace, MountPoint};

/// The directory with the layers and the roots.
const BASE: &str = "/run/isobench";
/// The file mode creation mask: users other than root get through the directories, whatever
/// isobench's own mask hides.
const OPEN_TO_ALL: Mode = Mode::S_IWGRP.union(Mode::S_IWOTH);
/// The host's devices that isobench's container has too.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Symbolic links in /dev, as isobench's container has them: their names and what they say.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Who mounts /proc, /dev and what is bound into a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mounter {
    /// The runtime mounts them during its start. Isobench makes the mount points.
    Runtime,
    /// Isobench mounts them before the clock starts, because nothing else does.
    Isobench,
}

/// What this process lacks to mount the roots of images.
pub fn needs_root() -> Option<Unavailable> {
    (!geteuid().is_root()).then(|| Unavailable {
        reason: "only root can mount an image's layers outside of a container".to_owned(),
        fix: "run isobench as root, or take the target container".to_owned(),
        command: None,
    })
}

/// The image of one prepared target, of which each instance gets a fresh root.
#[derive(Debug)]
pub struct OverlayRoots {
    namespace: MountNamespace,
    /// The option `lowerdir` of overlayfs, relative to [`BASE`].
    lower: String,
    mounter: Mounter,
    next_number: Cell<u64>,
}

/// The root of one instance.
#[derive(Debug)]
pub struct OverlayRoot {
    /// The root directory's path in the namespace. All users may get there.
    pub directory: PathBuf,
    /// What has to be unmounted when the instance has ended.
    pub mounted: MountPoint,
}

impl OverlayRoots {
    /// Makes the roots of an image with these `layers`, the lowest first. `namespace` must have a
    /// `/run` of its own.
    ///
    /// # Errors
    /// A layer can't be bound.
    pub fn new(
        namespace: MountNamespace,
        layers: &[PathBuf],
        mounter: Mounter,
    ) -> io::Result<Self> {
        namespace.run_inside(|| bind_layers(layers))?;
        // Overlayfs takes the highest layer first.
        let names: Vec<_> = (0..layers.len()).rev().map(|n| format!("l{n}")).collect();
        Ok(Self {
            namespace,
            lower: names.join(":"),
            mounter,
            next_number: Cell::new(0),
        })
    }

    /// The namespace with the roots.
    pub fn namespace(&self) -> &MountNamespace {
        &self.namespace
    }

    /// Mounts the root of one instance. `binds` are files and directories of the host, each with
    /// its path inside. Those of `directories` that the image lacks are made.
    ///
    /// # Errors
    /// Something can't be made or mounted. Nothing stays mounted then.
    pub fn mount(
        &self,
        binds: &[(&Path, PathBuf)],
        directories: &[&str],
    ) -> io::Result<OverlayRoot> {
        let (lower, mounter) = (&self.lower, self.mounter);
        self.assemble(|base| {
            make_upper(base, mounter)?;
            let (upper, work) = (base.join("u"), base.join("w"));
            make_directory(&work)?;
            let writes = format!("upperdir={},workdir={}", upper.display(), work.display());
            mount_overlay(base, &format!("lowerdir={lower},{writes}"))?;
            furnish(&base.join("root"), mounter, binds, directories)
        })
    }

    /// Mounts a root that shows the files of the image and can't be written to. Nothing in it
    /// changes while it is read, not even the time of a directory.
    ///
    /// # Errors
    /// As [`OverlayRoots::mount`].
    pub fn mount_read_only(&self) -> io::Result<OverlayRoot> {
        let (lower, mounter) = (&self.lower, self.mounter);
        self.assemble(|base| {
            make_upper(base, mounter)?;
            // The root directory and the mount points are as in the roots of instances.
            mount_overlay(base, &format!("lowerdir={}/u:{lower}", base.display()))
        })
    }

    /// Mounts a tmpfs for one root, in which `assemble` mounts the root.
    fn assemble(
        &self,
        assemble: impl FnOnce(&Path) -> io::Result<()> + Send,
    ) -> io::Result<OverlayRoot> {
        let number = self.next_number.replace(self.next_number.get() + 1);
        let point = MountPoint {
            namespace: self.namespace.clone(),
            directory: Path::new(BASE).join(number.to_string()),
        };
        let base = &point.directory;
        let assembled = self.namespace.run_inside(|| {
            umask(OPEN_TO_ALL);
            make_directory(base)?;
            new_mount("tmpfs", base, "mode=0755")?;
            assemble(base)
        });
        if let Err(error) = assembled {
            // A failure before the first mount leaves nothing to unmount.
            let _ = point.unmount();
            return Err(error);
        }
        Ok(OverlayRoot {
            directory: base.join("root"),
            mounted: point,
        })
    }
}

/// Binds each layer in [`BASE`].
fn bind_layers(layers: &[PathBuf]) -> io::Result<()> {
    umask(OPEN_TO_ALL);
    make_directory(Path::new(BASE))?;
    for (number, layer) in layers.iter().enumerate() {
        let place = Path::new(BASE).join(format!("l{number}"));
        make_directory(&place)?;
        bind(layer, &place)?;
    }
    Ok(())
}

/// Mounts an overlayfs with `options` at the directory `root` in `base`.
fn mount_overlay(base: &Path, options: &str) -> io::Result<()> {
    let root = base.join("root");
    make_directory(&root)?;
    // The names of the layers are relative to this directory.
    chdir(BASE)?;
    // `userxattr` is how isobench's container reads the layers.
    new_mount("overlay", &root, &format!("{options},userxattr"))
}

/// Makes the directory `u` in `base`, and in it those on which /proc and /dev are mounted: whatever
/// the image has in their place, a symbolic link for example, is hidden. If nothing is mounted at
/// /dev, /dev gets the links and the files on which devices are mounted.
fn make_upper(base: &Path, mounter: Mounter) -> io::Result<()> {
    let upper = &base.join("u");
    make_directory(upper)?;
    let (proc, dev) = (upper.join("proc"), upper.join("dev"));
    for directory in [&proc, &dev] {
        make_directory(directory)?;
        give_to_root(directory)?;
    }
    if mounter == Mounter::Isobench {
        let shm = dev.join("shm");
        make_directory(&shm)?;
        fs::set_permissions(&shm, Permissions::from_mode(0o1777))?;
        give_to_root(&shm)?;
        make_directory(&dev.join("pts"))?;
        for device in DEVICES {
            File::create(dev.join(device))?;
        }
        for (name, content) in LINKS {
            symlink(content, dev.join(name))?;
        }
    }
    give_to_root(upper)
}

/// Gives the directory `path` to the user who is root in the image.
fn give_to_root(path: &Path) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(FIRST_HOST_ID), Gid::from_raw(FIRST_HOST_ID));
    chown(path, Some(uid), Some(gid)).map_err(failed("give away", path))
}

/// Makes `directories` and the places for `binds` in `root`, and mounts what `mounter` says. This
/// thread's root is `root` from then on, so that a symbolic link of the image leads nowhere else.
fn furnish(
    root: &Path,
    mounter: Mounter,
    binds: &[(&Path, PathBuf)],
    directories: &[&str],
) -> io::Result<()> {
    if mounter == Mounter::Isobench {
        bind(Path::new("/proc"), &root.join("proc"))?;
        for device in DEVICES {
            bind(
                &Path::new("/dev").join(device),
                &root.join("dev").join(device),
            )?;
        }
        mount_terminals(&root.join("dev/pts"))?;
    }
    let opened = binds.iter().map(|(source, inside)| {
        let file = open(*source, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
        let file = File::from(file.map_err(failed("open", source))?);
        Ok((file, inside))
    });
    let opened: Vec<_> = opened.collect::<io::Result<_>>()?;
    chroot(root).map_err(failed("enter", root))?;
    for directory in directories {
        make_place(&Path::new("/").join(directory), true)?;
    }
    for (file, inside) in opened {
        let inside = Path::new("/").join(inside);
        make_place(&inside, file.metadata()?.is_dir())?;
        if mounter == Mounter::Isobench {
            bind(
                Path::new(&format!("/proc/self/fd/{}", file.as_raw_fd())),
                &inside,
            )?;
        }
    }
    Ok(())
}

/// Makes an empty directory or file at `path`, unless something is there.
fn make_place(path: &Path, is_directory: bool) -> io::Result<()> {
    let make = || {
        if is_directory {
            return fs::create_dir_all(path);
        }
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        File::create(path).map(drop)
    };
    if path.exists() {
        return Ok(());
    }
    make().map_err(failed("make in the image's root", path))
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::create_dir(path).map_err(failed("make", path))
}

/// Mounts a new file system of this type. Neither its devices nor its set-user-ID bits have any
/// effect, as in isobench's container.
fn new_mount(kind: &str, target: &Path, options: &str) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some(kind), target, Some(kind), flags, Some(options))
        .map_err(failed(&format!("mount {kind} at"), target))
}

/// Mounts a devpts of the root's own, as isobench's container has.
fn mount_terminals(target: &Path) -> io::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = "newinstance,ptmxmode=0666,mode=0620";
    mount(Some("devpts"), target, Some("devpts"), flags, Some(options))
        .map_err(failed("mount devpts at", target))
}

fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let none = None::<&str>;
    mount(Some(source), target, none, MsFlags::MS_BIND, none)
        .map_err(failed(&format!("bind {} at", source.display()), target))
}

/// For `map_err`: says what was tried on which path.
fn failed<E: Display + Into<io::Error>>(action: &str, path: &Path) -> impl Fn(E) -> io::Error {
    let tried = format!("cannot {action} {}", path.display());
    move |error| {
        let text = format!("{tried}: {error}");
        io::Error::new(error.into().kind(), text)
    }
}
