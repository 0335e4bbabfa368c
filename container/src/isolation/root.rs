//! Assembling the container's root file system, in the child.
//!
//! Everything happens on one base directory: a fresh tmpfs, or the scratch directory. It is mounted over the host's
//! `/proc`, where only this process's mount namespace sees it, and holds
//!
//! ```text
//! l0 l1 ..   the read-only layers, attached here so that no path of the host's gets into overlayfs's options
//! e          an empty directory, to cover directories of /proc with
//! u w        overlayfs's upper and work directories; /proc and /dev are prepared in `u`, so that nothing a
//!            layer holds in their place, a symbolic link say, can come before them
//! r          where the root is mounted
//! ```
//!
//! Where overlayfs is refused, `u` itself becomes the root, with the layers' top-level entries bound into it read-only.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd as _, OwnedFd};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, mknod, umask};
use nix::unistd::{chdir, chroot, fchdir, mkdir, pivot_root, symlinkat};

use crate::isolation::masks;
use crate::launch::handshake::{Failure, Step};
use crate::sys::mount as sys;

/// Where the base is mounted: on a directory that every host has and from which nothing is bound. It can't be `/`: then
/// the host's root would have something on top of it, and [`change_root`] would detach only that.
const BASE: &CStr = c"/proc";

/// Host devices that are bound into /dev: harmless ones, which programs expect.
const DEVICES: [(&CStr, &CStr, &CStr); 6] = [
    (c"/dev/null", c"u/dev/null", c"dev/null"),
    (c"/dev/zero", c"u/dev/zero", c"dev/zero"),
    (c"/dev/full", c"u/dev/full", c"dev/full"),
    (c"/dev/random", c"u/dev/random", c"dev/random"),
    (c"/dev/urandom", c"u/dev/urandom", c"dev/urandom"),
    (c"/dev/tty", c"u/dev/tty", c"dev/tty"),
];

/// Names in /dev for what /proc knows.
const LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"u/dev/fd"),
    (c"/proc/self/fd/0", c"u/dev/stdin"),
    (c"/proc/self/fd/1", c"u/dev/stdout"),
    (c"/proc/self/fd/2", c"u/dev/stderr"),
];

/// A directory or file of the host's that gets into the container.
pub struct Source {
    /// Its path on the host.
    pub path: CString,
    /// A copy of its mount. A privileged launcher makes it, because the child, root only in its own user namespace,
    /// might not get through the directories on the way; otherwise the child makes it.
    pub mount: Option<OwnedFd>,
}

impl Source {
    fn take(&mut self) -> nix::Result<OwnedFd> {
        match self.mount.take() {
            Some(mount) => Ok(mount),
            None => sys::clone_mount(&self.path, true),
        }
    }
}

/// A read-only layer and the directory in the base where it is attached.
pub struct Layer {
    /// The layer.
    pub source: Source,
    /// `l0`, `l1`, ...
    pub point: CString,
}

/// A bind mount that the user asked for.
pub struct BindMount {
    /// What.
    pub source: Source,
    /// The directories to make on the way to `target`, outermost first.
    pub parents: Vec<CString>,
    /// Where in the container.
    pub target: CString,
    /// Whether both are directories, or both files.
    pub directory: bool,
    /// Whether writing is forbidden.
    pub read_only: bool,
}

/// A top-level entry of a layer in a root without overlayfs.
pub enum Entry {
    /// A directory or file, bound read-only.
    Bind {
        /// In a layer: `l0/usr`.
        from: CString,
        /// In the root: `u/usr`.
        to: CString,
        /// Whether it is a directory.
        directory: bool,
    },
    /// A symbolic link, made again.
    Link {
        /// What it says.
        content: CString,
        /// In the root: `u/bin`.
        at: CString,
    },
}

/// How the layers become one root.
pub enum Union {
    /// By overlayfs with these options.
    Overlay {
        /// Paths relative to the base.
        options: CString,
    },
    /// By binding their top-level entries.
    Binds {
        /// The entries.
        entries: Vec<Entry>,
    },
}

/// What the root is made of.
pub struct RootPlan {
    /// The base directory on a disk; without one it is a fresh tmpfs.
    pub base: Option<Source>,
    /// The layers, lowest first.
    pub layers: Vec<Layer>,
    /// How they become one.
    pub union: Union,
    /// What is bound into the root when it is up.
    pub binds: Vec<BindMount>,
    /// Whether it has /proc and /dev.
    pub proc_and_devices: bool,
    /// Whether nothing in /proc may be written.
    pub proc_read_only: bool,
}

/// Assembles the root and makes it the working directory.
pub fn assemble(plan: &mut RootPlan) -> Result<(), Failure> {
    // The container's ordinary users have to get through these directories, whatever the caller hides from his.
    let callers = umask(Mode::empty());
    let assembled = assemble_openly(plan);
    umask(callers);
    assembled
}

fn assemble_openly(plan: &mut RootPlan) -> Result<(), Failure> {
    enter_base(plan.base.as_mut()).map_err(Failure::at(Step::Scratch))?;
    make_directories().map_err(Failure::at(Step::Scratch))?;
    if plan.proc_and_devices {
        make_mount_points().map_err(Failure::at(Step::Scratch))?;
    }
    for (index, layer) in plan.layers.iter_mut().enumerate() {
        attach_layer(layer).map_err(Failure::at_item(Step::Layer, index))?;
    }
    match &plan.union {
        Union::Overlay { options } => mount_overlay(options).map_err(Failure::at(Step::Overlay))?,
        Union::Binds { entries } => bind_entries(entries)?,
    }
    chdir(c"r").map_err(Failure::at(Step::Overlay))?;
    if plan.proc_and_devices {
        mount_proc_and_devices(plan.proc_read_only)?;
    }
    for (index, bind) in plan.binds.iter_mut().enumerate() {
        let mount = bind
            .source
            .take()
            .map_err(Failure::at_item(Step::Bind, index))?;
        bind.source.mount = Some(mount);
    }
    Ok(())
}

/// The host path of the device that [`assemble`] binds as number `index`.
pub fn device(index: usize) -> &'static CStr {
    DEVICES.get(index).map_or(c"/dev", |(device, _, _)| *device)
}

fn enter_base(base: Option<&mut Source>) -> nix::Result<()> {
    let base = match base {
        Some(directory) => directory.take()?,
        None => sys::new_file_system(
            c"tmpfs",
            &[(c"mode", c"0755")],
            libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV,
        )?,
    };
    sys::attach(&base, BASE)?;
    fchdir(base)
}

fn make_directories() -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    [c"u", c"w", c"r"]
        .into_iter()
        .try_for_each(|directory| mkdir(directory, mode))
}

/// Makes what [`mount_proc_and_devices`] mounts on, and the links that stand beside it.
fn make_mount_points() -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    for directory in [c"u/proc", c"u/dev"] {
        mkdir(directory, mode)?;
    }
    mkdir(c"u/dev/shm", Mode::from_bits_truncate(0o1777))?;
    for (_, file, _) in DEVICES {
        create_file(file)?;
    }
    for (content, at) in LINKS {
        symlinkat(content, nix::fcntl::AT_FDCWD, at)?;
    }
    masks::make_empty_directory()
}

/// Makes an empty file, unless there is something of that name: by mknod, which is one call less than open and close.
fn create_file(path: &CStr) -> nix::Result<()> {
    match mknod(path, SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn attach_layer(layer: &mut Layer) -> nix::Result<()> {
    mkdir(layer.point.as_c_str(), Mode::from_bits_truncate(0o755))?;
    sys::attach(layer.source.take()?, &layer.point)
}

fn mount_overlay(options: &CStr) -> nix::Result<()> {
    mount(
        Some(c"overlay"),
        c"r",
        Some(c"overlay"),
        MsFlags::MS_NOSUID | MsFlags::MS_NODEV,
        Some(options),
    )
}

fn bind_entries(entries: &[Entry]) -> Result<(), Failure> {
    for (index, entry) in entries.iter().enumerate() {
        bind_entry(entry).map_err(Failure::at_item(Step::Entry, index))?;
    }
    // With all that has just been bound below it.
    bind(c"u", c"r").map_err(Failure::at(Step::Entry))
}

fn bind_entry(entry: &Entry) -> nix::Result<()> {
    match entry {
        Entry::Link { content, at } => {
            symlinkat(content.as_c_str(), nix::fcntl::AT_FDCWD, at.as_c_str())
        }
        Entry::Bind {
            from,
            to,
            directory,
        } => {
            make_place(to, *directory)?;
            let mount = sys::clone_mount(from, true)?;
            sys::make_read_only(&mount)?;
            sys::attach(&mount, to)
        }
    }
}

/// Makes the directory or file on which something is going to be mounted.
fn make_place(path: &CStr, directory: bool) -> nix::Result<()> {
    if !directory {
        return create_file(path);
    }
    match mkdir(path, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// If the container's root is the host's, what it may write is the host's own: /proc is read-only then, and so are the
/// mounts of devices, which can be used but not given another mode or owner.
fn mount_proc_and_devices(read_only: bool) -> Result<(), Failure> {
    mount_proc(read_only).map_err(Failure::at(Step::Proc))?;
    masks::cover(read_only).map_err(Failure::at(Step::Masks))?;
    for (index, (device, _, target)) in DEVICES.into_iter().enumerate() {
        bind_device(device, target, read_only).map_err(Failure::at_item(Step::Device, index))?;
    }
    Ok(())
}

fn mount_proc(read_only: bool) -> nix::Result<()> {
    let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    flags.set(MsFlags::MS_RDONLY, read_only);
    mount(Some(c"proc"), c"proc", Some(c"proc"), flags, None::<&CStr>)
}

/// Shows the host's `device` at `to`, which is there.
pub fn bind_device(device: &CStr, to: &CStr, read_only: bool) -> nix::Result<()> {
    bind(device, to)?;
    if read_only {
        sys::make_read_only_at(to)?;
    }
    Ok(())
}

/// Shows `from`, with all that is mounted below it, at `to` too.
pub fn bind(from: &CStr, to: &CStr) -> nix::Result<()> {
    mount(
        Some(from),
        to,
        None::<&CStr>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&CStr>,
    )
}

/// Makes the working directory, a mount point, the root of this process and detaches the host's file systems.
///
/// The host's root is mounted on top of the new root and detached from there, so no directory is needed for it.
pub fn change_root() -> nix::Result<()> {
    match pivot_root(c".", c".") {
        Ok(()) => umount2(c".", MntFlags::MNT_DETACH)?,
        // The host runs from its initramfs, the one file system that can't be pivoted away.
        Err(Errno::EINVAL) => {
            mount(
                Some(c"."),
                c"/",
                None::<&CStr>,
                MsFlags::MS_MOVE,
                None::<&CStr>,
            )?;
            chroot(c".")?;
        }
        Err(errno) => return Err(errno),
    }
    chdir(c"/")
}

/// Mounts what the user asked for. It comes after [`change_root`], so that symbolic links in layers lead nowhere else.
pub fn mount_binds(binds: &mut [BindMount]) -> Result<(), Failure> {
    for (index, bind) in binds.iter_mut().enumerate() {
        for parent in &bind.parents {
            make_place(parent, true).map_err(Failure::at_item(Step::BindTarget, index))?;
        }
        make_place(&bind.target, bind.directory)
            .map_err(Failure::at_item(Step::BindTarget, index))?;
        mount_bind(bind).map_err(Failure::at_item(Step::Bind, index))?;
    }
    Ok(())
}

fn mount_bind(bind: &mut BindMount) -> nix::Result<()> {
    let mount = bind.source.take()?;
    if bind.read_only {
        sys::make_read_only(mount.as_fd())?;
    }
    sys::attach(mount.as_fd(), &bind.target)
}
