//! Targets: the ways to isolate that are compared.
//!
//! A target is *a command line that runs a program and passes its standard output through*. Nothing else
//! about it is known to the experiments, so isobench's own rungs and the peers are measured by the same code.

pub mod bounds;
mod choice;
mod container;
mod floors;
pub mod guest;
mod microvm_bare;
mod microvm_linux;
mod peers;
mod process;
mod twin;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_container::{Mechanisms, Network};
use isobench_reports::model::{Part, TargetKind, Unavailable};

use crate::host::accounting::Accounting;
use crate::host::facts::HostReport;
use crate::host::programs::Programs;
use crate::instance::command_line::CommandLine;
use crate::targets::bounds::Bounds;

pub use container::InImage;

pub use choice::choose;

/// What one instance is to run, and with what.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    /// The program's path on the host.
    pub program: &'a Path,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its environment, as `KEY=VALUE`.
    pub environment: Vec<OsString>,
    /// A file that it finds at [`Target::disk_path`].
    pub disk: Option<&'a Path>,
    /// A directory that it finds at [`Target::files_path`], to make files in.
    pub files: Option<&'a Path>,
    /// What it will do with its disk, as far as a VMM has to know.
    pub access: DiskAccess,
    /// A directory whose files it finds at its root, where [`Target::stacks_layers`].
    pub layer: Option<&'a Path>,
    /// A directory on a disk for what it writes to its root, under the same condition; without one it's kept in memory.
    pub scratch: Option<&'a Path>,
    /// Memory that it may use, where the target can limit it.
    pub memory: Option<ByteSize>,
    /// The network that it has, one of [`Target::networks`]; the first of those if `None`.
    pub network: Option<Network>,
    /// What else is limited, where [`Target::takes_bounds`].
    pub bounds: Bounds,
    /// The directory that [`Target::prepare`] filled for this program.
    pub root: &'a Path,
    /// cgroup directories that the launcher creates for its limits, one a hierarchy; empty without cgroups.
    pub limits: Vec<PathBuf>,
    /// What isolates it, where the target can leave a part of that out.
    pub mechanisms: Mechanisms,
    /// Whether its standard input is to stay open, for a target that can't pass the real one on.
    pub holds_input: bool,
    /// What the launcher reports.
    pub marks: Marks,
}

impl<'a> Launch<'a> {
    /// `program` with `arguments` and nothing else, isolated by all that its target has, and nothing reported.
    pub fn of(
        program: &'a Path,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        root: &'a Path,
    ) -> Self {
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
            root,
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
    /// Its phases.
    Phases,
    /// Its phases, and the exits that it handled, where [`Target::counts_exits`].
    PhasesAndExits,
}

/// How the workload gets at its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskAccess {
    /// Through the page cache.
    Buffered,
    /// Past the page cache of its own kernel, so that a VMM has to go past the host's as well.
    Direct,
    /// As buffered, and only to read: others may read at the same time.
    ReadOnly,
}

/// A way to isolate.
pub trait Target: std::fmt::Debug {
    /// Stable name.
    fn name(&self) -> &'static str;

    /// One sentence: what it adds to a bare process.
    fn description(&self) -> &'static str;

    /// Its place on the ladder.
    fn kind(&self) -> TargetKind;

    /// The phases that its launcher marks, in order; empty if it marks none.
    fn phases(&self) -> Vec<Part> {
        Vec::new()
    }

    /// Name of the target that does a part of what this one does, beside the bare process, which all contain.
    fn floor(&self) -> Option<&'static str> {
        None
    }

    /// Version of the runtime behind it, where that isn't isobench itself.
    fn version(&self) -> Option<String> {
        None
    }

    /// What a peer does otherwise than isobench's container, as its interface has it: short sentences.
    fn differences(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it starts in a moment, so that it is among the targets of a run that names none.
    fn is_quick(&self) -> bool {
        true
    }

    /// Whether `experiment` can be asked of it at all; a floor knows start-up alone.
    fn takes_part_in(&self, experiment: &str) -> bool {
        let _ = experiment;
        true
    }

    /// Whether it runs the program that it's given; the floor of KVM has none.
    fn runs_programs(&self) -> bool {
        true
    }

    /// Whether a program in it finds the services of a kernel that the bare guest leaves out: threads, mapped files.
    fn has_kernel(&self) -> bool {
        true
    }

    /// Whether what it runs can leave a virtual machine on purpose, so that an exit has a price.
    fn prices_exits(&self) -> bool {
        false
    }

    /// Whether its VMM tells how often its guest came out, and why.
    fn counts_exits(&self) -> bool {
        false
    }

    /// Whether a program in it learns that the launcher's standard input has ended.
    fn tells_end_of_input(&self) -> bool {
        true
    }

    /// The networks that it can give an instance.
    fn networks(&self) -> &'static [Network] {
        &[Network::None]
    }

    /// Whether it can hold a program to [`Launch::memory`].
    fn limits_memory(&self) -> bool {
        false
    }

    /// Whether it can hold a program to [`Launch::bounds`].
    fn takes_bounds(&self) -> bool {
        false
    }

    /// Whether it can do with less than all of [`Launch::mechanisms`].
    fn leaves_out_mechanisms(&self) -> bool {
        false
    }

    /// Whether its root is made of layers, so that it has a use for [`Launch::layer`] and [`Launch::scratch`].
    fn stacks_layers(&self) -> bool {
        false
    }

    /// Whether its command line and the directory prepared for it hold every file of its instances that isn't the host's
    /// own, so that these can be added up: no daemon keeps others elsewhere.
    fn shows_its_files(&self) -> bool {
        false
    }

    /// Why this host can't run it, if so.
    fn unavailable(&self, host: &HostReport) -> Option<Unavailable>;

    /// Puts into the empty directory `root` what instances of `program` need; once, outside any timing.
    ///
    /// # Errors
    /// A file could not be made there.
    fn prepare(&self, program: &Path, root: &Path) -> io::Result<()> {
        let _ = (program, root);
        Ok(())
    }

    /// Starts what its instances need running, a daemon say; once, after [`Target::prepare`]. It ends with the target.
    ///
    /// # Errors
    /// Why it can't be had.
    fn start(&self, root: &Path, accounting: &Accounting) -> Result<(), Unavailable> {
        let _ = (root, accounting);
        Ok(())
    }

    /// Where a program in this target finds the file given as [`Launch::disk`].
    fn disk_path(&self, disk: &Path) -> PathBuf;

    /// Where a program in this target finds the directory given as [`Launch::files`]; none if it can't have one.
    fn files_path(&self, files: &Path) -> Option<PathBuf> {
        let _ = files;
        None
    }

    /// Whether it runs programs of images.
    fn runs_images(&self) -> bool {
        false
    }

    /// As [`Target::command`], of a program of an image, whose path inside is [`Launch::program`].
    ///
    /// # Errors
    /// It can't be told so, or runs no images.
    fn command_in_image(&self, launch: &Launch, image: &InImage<'_>) -> io::Result<CommandLine> {
        let _ = (launch, image);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The command line of one instance, with the files that this instance needs made.
    ///
    /// # Errors
    /// A file could not be made, or the launch holds what the target can't be told.
    fn command(&self, launch: &Launch) -> io::Result<CommandLine>;
}

/// Every target that this build knows, in the order of the report: the ladder, its floors, the peers. A peer that needs a
/// daemon asks the one that runs.
pub fn all(programs: &Programs) -> Vec<Box<dyn Target>> {
    all_with(programs, peers::all(programs, false))
}

/// As [`all`], but a peer that needs a daemon starts one of its own.
pub fn all_starting_daemons(programs: &Programs) -> Vec<Box<dyn Target>> {
    all_with(programs, peers::all(programs, true))
}

fn all_with(programs: &Programs, peers: Vec<Box<dyn Target>>) -> Vec<Box<dyn Target>> {
    let own: Vec<Box<dyn Target>> = vec![
        Box::new(process::Process),
        Box::new(container::Container::new(&programs.container)),
        Box::new(microvm_bare::BareMicrovm::new(&programs.vmm)),
        Box::new(microvm_linux::LinuxMicrovm::new(&programs.vmm)),
        Box::new(floors::NamespaceFloor::new(&programs.floor)),
        Box::new(floors::KvmFloor::new(&programs.floor)),
    ];
    own.into_iter().chain(peers).collect()
}

/// The bare process once more, under the name of `process-twin`.
pub fn twin() -> Box<dyn Target> {
    Box::new(twin::Twin)
}

/// Names joined for a message.
pub fn names(targets: &[Box<dyn Target>]) -> String {
    let names: Vec<_> = targets.iter().map(|target| target.name()).collect();
    names.join(", ")
}

/// Puts `program` into `directory` under its own name: a hard link, so that the page cache is shared with the
/// other targets, or a copy where the file systems differ, or where others may not run it: inside, root is another
/// user.
fn place_program(program: &Path, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let place = directory.join(file_name(program));
    let for_all = fs::metadata(program)?.permissions().mode() & 0o005 == 0o005;
    if for_all && fs::hard_link(program, &place).is_ok() {
        return Ok(());
    }
    fs::copy(program, &place)?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))
}

/// The path of `program` at the root of a target.
fn inside_path(program: &Path) -> PathBuf {
    Path::new("/").join(file_name(program))
}

fn file_name(program: &Path) -> &std::ffi::OsStr {
    program.file_name().unwrap_or(program.as_os_str())
}

fn part(name: &str, explanation: &str) -> Part {
    Part {
        name: name.to_owned(),
        explanation: explanation.to_owned(),
        base: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_one_s_own_is_placed_for_all_to_run() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, "x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for (own, placed) in [(0o755, 0o755), (0o555, 0o555), (0o700, 0o755)] {
            fs::set_permissions(&program, fs::Permissions::from_mode(own)).unwrap();
            let layer = directory.path().join(format!("{own:o}"));
            place_program(&program, &layer).unwrap();
            assert_eq!(mode(&layer.join("program")), placed);
            assert_eq!(mode(&program), own);
        }
    }
}
