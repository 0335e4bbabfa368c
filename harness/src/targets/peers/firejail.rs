//! Firejail, a sandbox for a desktop's programs: it hides parts of the host's root, and makes no
//! root of its own unless an administrator allows that.
//!
//! The order of its options counts: firejail mounts, hides and locks in the order in which it's
//! told to. Version 0.9.72 was tried.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use isobench_container::seccomp::policy::{ALLOWED, CONDITIONAL, UNKNOWN_CALLS};
use isobench_reports::model::Unavailable;

use super::instance::{binds, container_peer, make_layer, runtime_mounts};
use super::program::{Program, Source, needs_to_be_root};
use crate::host::facts::HostReport;
use crate::host::mounts::MountNamespace;
use crate::instance::command_line::CommandLine;
use crate::targets::prepare::file_name;
use crate::targets::{
    Availability, InsidePath, Launch, PrepareContext, PrepareError, Prepared, Target, TargetInfo,
};

const PROGRAM: Program = Program {
    name: "firejail",
    source: Source::Debian("firejail"),
};
/// Where the layer is bound to: a directory that the hierarchy standard promises, mostly empty.
const LAYER: &str = "/srv";
/// The directory that firejail always covers by an empty one, before it binds anything.
const COVERED: &str = "/var/tmp";
/// What stays in sight. Firejail keeps its own files in `/run`. The program by which firejail
/// compiles filters runs inside, and needs the host's libraries.
const IN_SIGHT: [&str; 9] = [
    LAYER,
    "/proc",
    "/dev",
    "/run",
    "/lib",
    "/lib64",
    "/usr",
    "/usr/lib",
    "/usr/lib64",
];
/// What is hidden, but for what stays in sight.
const HIDDEN: [&str; 2] = ["/*", "/usr/*"];

/// The target `firejail`.
#[derive(Debug)]
pub struct Firejail(TargetInfo);

impl Firejail {
    pub fn new() -> Self {
        let description = "Firejail: five namespaces, the host's root with nearly all of it \
                           hidden, the names of the container's seccomp policy.";
        Self(TargetInfo {
            differences: &[
                "no root of its own: the host's, read-only; what lies in it is hidden by empty directories, but for /proc, /dev, /usr/lib, /lib, /lib64, and a /run that all instances of a run share",
                "the program and what is bound are in /srv",
                "no user and no cgroup namespace: root inside is the host's, without capabilities",
                "/dev has a devpts, a /dev/shm and more devices in addition; /sys is hidden",
                "no cgroup of its own",
                "the loopback interface is up; firejail waits 10 ms for it at each start",
                "firejail is PID 1 and one more process of it stays outside; it looks for the program's end after 20 ms at the earliest",
                "the seccomp filter is compiled from the names of the same policy at each start, by programs of firejail's; of the arguments it looks at those that make namespaces alone, calls newer than the policy fail with EPERM",
                "the program's environment has what firejail adds, PATH among it",
            ],
            disk: InsidePath::At("/srv/disk"),
            files: Some(InsidePath::At("/srv/files")),
            ..container_peer("firejail", description)
        })
    }
}

impl Target for Firejail {
    fn info(&self) -> &TargetInfo {
        &self.0
    }

    fn availability(&self, _: &HostReport) -> Availability {
        let obstacle = needs_to_be_root(self.0.name).or_else(needs_kernel_threads);
        PROGRAM.availability_inside(runtime_mounts, obstacle)
    }

    fn prepare(&self, context: &PrepareContext) -> Result<Box<dyn Prepared>, PrepareError> {
        let program = context.program(self.0.name)?;
        if context.directory.starts_with(COVERED) {
            return Err(covered(context.directory).into());
        }
        Ok(Box::new(Jail {
            firejail: PROGRAM.path()?,
            layer: context.files(|directory| make_layer(program, directory, &[]))?,
            mounts: context.files(|_| runtime_mounts())?,
            calls: calls(),
        }))
    }
}

/// Why firejail would isolate nothing here, if so. Firejail takes a PID namespace in which it sees
/// no thread of the kernel's for a sandbox, and then starts the program as it is.
fn needs_kernel_threads() -> Option<Unavailable> {
    let second = fs::read_to_string("/proc/2/comm").unwrap_or_default();
    (second.trim() != "kthreadd").then(|| Unavailable {
        reason: "firejail takes this PID namespace for a sandbox already, and isolates nothing"
            .to_owned(),
        fix: "run isobench in the host's own PID namespace".to_owned(),
        command: None,
    })
}

/// The reason for which firejail can't bind files of `directory`.
fn covered(directory: &Path) -> Unavailable {
    Unavailable {
        reason: format!(
            "firejail covers {COVERED}, where the run's files are: {}",
            directory.display()
        ),
        fix: "set TMPDIR to a directory elsewhere".to_owned(),
        command: None,
    }
}

/// Starts instances with the layer in the place of [`LAYER`].
#[derive(Debug)]
struct Jail {
    firejail: PathBuf,
    layer: PathBuf,
    mounts: MountNamespace,
    /// The system calls that may be made.
    calls: String,
}

impl Prepared for Jail {
    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let mut command = CommandLine::new(&self.firejail)
            .args(["--quiet", "--noprofile"])
            .args([bind(&self.layer, LAYER)])
            // This covers every mount below /srv, so it comes before the others are bound.
            .args([format!("--read-only={LAYER}")]);
        for (source, place) in binds(launch) {
            make_alike(&self.layer.join(place.trim_start_matches('/')), source)?;
            // Firejail binds no links.
            let source = source.canonicalize()?;
            command = command.args([bind(&source, &format!("{LAYER}{place}"))]);
        }
        command = command
            .args(IN_SIGHT.map(|path| format!("--noblacklist={path}")))
            .args(HIDDEN.map(|path| format!("--blacklist={path}")))
            // This covers no mount below /. It comes last: firejail binds nothing after it.
            .args(["--read-only=/"])
            .args(["--private-dev", "--net=none", "--hostname=isobench"])
            .args(["--caps.drop=all", "--nonewprivs"])
            .args(["--seccomp.block-secondary", "--restrict-namespaces"])
            .args([format!("--seccomp.keep={}", self.calls)]);
        command.environment.clone_from(&launch.environment);
        command.mounts = Some(self.mounts.clone());
        // After `--` firejail would run the program by a shell. The first word that is no option
        // ends the options too.
        Ok(command
            .args([Path::new(LAYER).join(file_name(launch.program))])
            .args(&launch.arguments))
    }
}

/// Gives `place` the owner and the mode of `source`. Firejail gives the source of a bind those of
/// its place, for good, and the source is the user's or shared with other targets.
fn make_alike(place: &Path, source: &Path) -> io::Result<()> {
    let metadata = fs::metadata(source)?;
    chown(place, Some(metadata.uid()), Some(metadata.gid()))?;
    fs::set_permissions(place, metadata.permissions())
}

/// A path of the user may hold a character that has a meaning here: firejail refuses and names it.
fn bind(source: &Path, place: &str) -> OsString {
    let mut option = OsString::from("--bind=");
    option.push(source);
    option.push(",");
    option.push(place);
    option
}

/// The policy's calls by number, since firejail leaves out names that are newer than itself, without
/// a word. What is to fail with `ENOSYS` is among them: `--restrict-namespaces` sees to that.
fn calls() -> String {
    let special = CONDITIONAL.iter().map(|(call, _)| call);
    let kept = ALLOWED.iter().chain(special).chain(UNKNOWN_CALLS);
    let numbers: Vec<String> = kept.map(|call| format!("${call}")).collect();
    numbers.join(",")
}
