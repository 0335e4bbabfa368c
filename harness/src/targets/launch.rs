//! One instance to be started: its program, and all that the program gets.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::{Mechanisms, Network};

use super::bounds::Bounds;

/// What one instance runs, and with what.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// The program's path: on the host, or inside of the image that the target was prepared with.
    pub program: &'a Path,
    /// The program's arguments.
    pub arguments: Vec<OsString>,
    /// The program's environment, as `KEY=VALUE`.
    pub environment: Vec<OsString>,
    /// A file that the program finds at the target's place for a disk.
    pub disk: Option<&'a Path>,
    /// A directory that the program finds at the target's place for files, to make files in.
    pub files: Option<&'a Path>,
    /// What the program does with its disk, as far as a VMM has to know.
    pub access: DiskAccess,
    /// A directory whose files the program finds at its root, where the target stacks layers.
    pub layer: Option<&'a Path>,
    /// A directory on a disk for what the program writes to its root, where the target stacks
    /// layers; without it the target keeps those writes in memory.
    pub scratch: Option<&'a Path>,
    /// Memory that the program may use, where the target can limit memory.
    pub memory: Option<ByteSize>,
    /// The program's network, one of the target's; the target's usual one if `None`.
    pub network: Option<Network>,
    /// Further limits, where the target keeps them.
    pub bounds: Bounds,
    /// cgroup directories that the launcher makes for its limits, one a hierarchy; empty without
    /// cgroups.
    pub limits: Vec<PathBuf>,
    /// The mechanisms that isolate the program, where the target can leave some out.
    pub mechanisms: Mechanisms,
    /// Whether the program's standard input stays open, for a target that can't pass the real one
    /// on.
    pub holds_input: bool,
    /// What the launcher reports.
    pub marks: Marks,
}

impl<'a> Launch<'a> {
    /// `program` with `arguments` and nothing else, isolated by all that its target has, and
    /// nothing reported.
    pub fn of(program: &'a Path, arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        Self {
            program,
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: Vec::new(),
            disk: None,
            files: None,
            access: DiskAccess::Buffered,
            layer: None,
            scratch: None,
            memory: None,
            network: None,
            bounds: Bounds::default(),
            limits: Vec::new(),
            mechanisms: Mechanisms::ALL,
            holds_input: false,
            marks: Marks::None,
        }
    }
}

/// What a launcher reports beside the program's own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// Nothing.
    None,
    /// The ends of its phases.
    Phases,
    /// The ends of its phases, and how often its guest left the virtual machine.
    PhasesAndExits,
}

/// How a program gets at its disk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskAccess {
    /// Through the page cache.
    Buffered,
    /// Past the page cache of the program's own kernel, so that a VMM has to go past the host's as
    /// well.
    Direct,
    /// Through the page cache, and only to read: others may read at the same time.
    ReadOnly,
}
