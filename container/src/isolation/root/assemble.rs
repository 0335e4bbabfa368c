//! Assembling the root, in the first process.

use std::ffi::CStr;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{chdir, fchdir, mkdir, symlinkat};
use rustix::mount::MountFlags;

use super::plan::{Entry, Layer, RootPlan, Source, Union};
use super::{cgroups, devices, place, terminals};
use crate::isolation::step::{SetupFailure, SetupStep};
use crate::sys::mount::{self, Reach};

/// Where the base is mounted: a directory that every host has and from which nothing is bound.
///
/// The base cannot be mounted at `/`: there it would lie on top of the host's root, and
/// [`switch::change_root`](super::switch::change_root) would detach only the base.
const BASE: &CStr = c"/proc";

/// Assembles the root and makes it the working directory.
pub fn assemble(plan: &mut RootPlan<'_>) -> Result<(), SetupFailure> {
    // The container's ordinary users have to get through these directories, whatever the file mode
    // creation mask of the launcher's user hides.
    let launchers_mask = umask(Mode::empty());
    let assembled = assemble_with_open_modes(plan);
    umask(launchers_mask);
    assembled
}

fn assemble_with_open_modes(plan: &mut RootPlan<'_>) -> Result<(), SetupFailure> {
    enter_base(plan.base.as_mut()).map_err(SetupFailure::at(SetupStep::Scratch))?;
    make_directories().map_err(SetupFailure::at(SetupStep::Scratch))?;
    if plan.proc_and_devices.is_some() {
        devices::prepare().map_err(SetupFailure::at(SetupStep::Scratch))?;
        if let Some(terminals) = &plan.terminals {
            terminals::prepare(terminals).map_err(SetupFailure::at(SetupStep::Scratch))?;
        }
    }
    cgroups::prepare(&plan.cgroups).map_err(SetupFailure::at(SetupStep::Scratch))?;
    for (index, layer) in plan.layers.iter_mut().enumerate() {
        attach_layer(layer).map_err(SetupFailure::at_item(SetupStep::Layer, index))?;
    }
    match &plan.union {
        Union::Overlay { options } => {
            mount_overlay(options).map_err(SetupFailure::at(SetupStep::Overlay))?;
        }
        Union::Binds { entries } => bind_entries(entries)?,
    }
    chdir(c"r").map_err(SetupFailure::at(SetupStep::Overlay))?;
    if let Some(access) = plan.proc_and_devices {
        devices::mount_all(access)?;
        if let Some(terminals) = &plan.terminals {
            terminals::mount_all(terminals, access)
                .map_err(SetupFailure::at(SetupStep::Terminals))?;
        }
    }
    // The paths on the host lead nowhere once the root is changed.
    for (index, bind) in plan.binds.iter_mut().enumerate() {
        let mount = bind
            .source
            .take()
            .map_err(SetupFailure::at_item(SetupStep::Bind, index))?;
        bind.source.mount = Some(mount);
    }
    Ok(())
}

fn enter_base(base: Option<&mut Source<'_>>) -> nix::Result<()> {
    let base = match base {
        Some(directory) => directory.take()?,
        None => mount::new_tmpfs(c"0755", None)?,
    };
    mount::attach(&base, BASE)?;
    fchdir(base)
}

fn make_directories() -> nix::Result<()> {
    let mode = Mode::from_bits_truncate(0o755);
    [c"u", c"w", c"r"]
        .into_iter()
        .try_for_each(|directory| mkdir(directory, mode))
}

fn attach_layer(layer: &mut Layer<'_>) -> nix::Result<()> {
    mkdir(layer.point.as_c_str(), Mode::from_bits_truncate(0o755))?;
    mount::attach(layer.source.take()?, &layer.point)
}

fn mount_overlay(options: &CStr) -> nix::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount::new_at(c"overlay", c"r", flags, Some(options))
}

fn bind_entries(entries: &[Entry]) -> Result<(), SetupFailure> {
    for (index, entry) in entries.iter().enumerate() {
        bind_entry(entry).map_err(SetupFailure::at_item(SetupStep::Entry, index))?;
    }
    // This bind takes along everything that has just been bound below `u`.
    mount::bind(c"u", c"r").map_err(SetupFailure::at(SetupStep::Entry))
}

fn bind_entry(entry: &Entry) -> nix::Result<()> {
    match entry {
        Entry::Link { content, at } => symlinkat(content.as_c_str(), AT_FDCWD, at.as_c_str()),
        Entry::Bind { from, to, kind } => {
            place::make(to, *kind)?;
            let mount = mount::clone_mount(from, Reach::WithMountsBelow)?;
            mount::make_read_only(&mount)?;
            mount::attach(&mount, to)
        }
    }
}
