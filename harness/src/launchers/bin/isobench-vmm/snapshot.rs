#![expect(unsafe_code, reason = "installs a signal handler")]
//! Snapshots of programs that have initialised: taken into a file, and restored from one.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use isobench::instance::marks::{MarkWriter, TEMPLATE};
use isobench::launchers::Failure;
use isobench_vmm::bare::snapshot::{Identity, ProgramIdentity};
use isobench_vmm::bare::syscalls::Personality;
use isobench_vmm::bare::{
    Config, Ending, MicroVm, Phase, RestoreError, RunError, Stopped, confine,
};
use isobench_vmm::kvm::KvmError;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::linkat;

use crate::request::Request;

const SNAPSHOT: &str = "--snapshot";
const RESTORE: &str = "--restore";
/// What is said when a restored guest's pages can't be read any more.
const FILE_CHANGED: &str = "the snapshot's file was cut short, or can't be read any more, while its \
                            guest runs: take the snapshot again";
/// The exit code of a launcher that failed.
const LAUNCHER_FAILED: i32 = 125;

/// Checks that the guest has nothing that a snapshot doesn't keep.
pub fn check(request: &Request) -> Result<(), Failure> {
    let option = match (&request.snapshot, &request.restored) {
        (None, None) => return Ok(()),
        (Some(_), Some(_)) => {
            return Err(Failure::bad_request(
                "--snapshot and --restore can't be combined",
            ));
        }
        (Some(_), None) => SNAPSHOT,
        (None, Some(_)) => RESTORE,
    };
    let template = request.is_template.then_some("--template");
    match request.beyond_memory().or(template) {
        None => Ok(()),
        Some(other) => Err(Failure::bad_request(format!(
            "{option} can't be combined with {other}"
        ))),
    }
}

/// What a snapshot of this guest must agree with.
pub fn identity(config: &Config) -> Result<Identity, Failure> {
    let program = config.program.file.metadata();
    let program = program.map_err(Failure::of_launcher)?;
    let mut start = DefaultHasher::new();
    config.start.arguments.hash(&mut start);
    config.start.environment.hash(&mut start);
    Ok(Identity {
        memory: config.memory,
        program: ProgramIdentity {
            length: program.len(),
            modified: (program.mtime(), program.mtime_nsec()),
        },
        start: start.finish(),
    })
}

/// A file without a name in the directory of `path`, which must be free. A VMM that is killed leaves
/// nothing behind.
pub fn nameless(path: &Path) -> Result<File, Failure> {
    let refused = |error: io::Error| refused(SNAPSHOT, path, error);
    if path.symlink_metadata().is_ok() {
        return Err(refused(io::ErrorKind::AlreadyExists.into()));
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let mut options = OpenOptions::new();
    options.write(true).custom_flags(libc::O_TMPFILE);
    options.open(directory).map_err(refused)
}

/// Runs the program up to its first input, and writes the snapshot to `file`, which gets its name
/// then. Returns the program's own end if that comes before.
pub fn take(
    vm: &mut MicroVm,
    personality: &mut Personality,
    (file, path): (&File, &Path),
    identity: Identity,
    marks: &MarkWriter,
    on_phase: &(dyn Fn(Phase) + Sync),
) -> Result<Ending, Failure> {
    match vm.run_to_input(personality, &confine::confine_snapshot, on_phase) {
        Ok(Stopped::AtInput) => {}
        Ok(Stopped::Ended(ending)) => {
            return Err(Failure::bad_request(format!(
                "the program has asked for no input, so there is nothing to keep: it ended with {}",
                description(&ending)
            )));
        }
        Err(error @ RunError::TemplateThreads { .. }) => return Err(Failure::bad_request(error)),
        Err(error) => return Err(Failure::of_launcher(error)),
    }
    marks.mark(TEMPLATE);
    vm.take_snapshot(personality, identity, file)
        .map_err(Failure::bad_request)?;
    let open = format!("/proc/self/fd/{}", file.as_raw_fd());
    let named = linkat(
        AT_FDCWD,
        open.as_str(),
        AT_FDCWD,
        path,
        AtFlags::AT_SYMLINK_FOLLOW,
    );
    named.map_err(|errno| refused(SNAPSHOT, path, errno))?;
    Ok(Ending::Exited(0))
}

/// How a program ended, after "with".
fn description(ending: &Ending) -> String {
    match ending {
        Ending::Exited(code) => format!("exit code {code}"),
        Ending::Signalled(signal) => format!("signal {signal}"),
        Ending::OutOfMemory => "no memory left: give the guest more with --memory".to_owned(),
        Ending::Died(death) => format!("an exception: {death}"),
    }
}

/// A file that an option names can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{option} {}", path.display())]
struct FileRefused {
    option: &'static str,
    path: PathBuf,
    source: Box<dyn Error>,
}

/// The failure for a file that `option` names.
fn refused(option: &'static str, path: &Path, source: impl Into<Box<dyn Error>>) -> Failure {
    Failure::bad_request(FileRefused {
        option,
        path: path.to_owned(),
        source: source.into(),
    })
}

/// Puts the snapshot at `path` into a VM.
pub fn restore(
    path: &Path,
    personality: &mut Personality,
    identity: Identity,
    on_phase: &dyn Fn(Phase),
) -> Result<MicroVm, Failure> {
    let file = File::open(path).map_err(|error| refused(RESTORE, path, error))?;
    // SAFETY: the handler makes a few system calls and uses constants alone.
    unsafe { signal(Signal::SIGBUS, SigHandler::Handler(tell_and_end)) }
        .map_err(Failure::of_launcher)?;
    MicroVm::restore(file, identity, personality, on_phase).map_err(|error| match error {
        RestoreError::Snapshot(error) => refused(RESTORE, path, error),
        other => Failure::of_launcher(other),
    })
}

/// Why a restored guest can't go on. KVM gives `EFAULT` where the VMM itself would get `SIGBUS`.
pub fn failure_of_run(error: RunError) -> Failure {
    match &error {
        RunError::Kvm(KvmError::Ioctl { source, .. })
            if source.raw_os_error() == Some(libc::EFAULT) =>
        {
            Failure::of_launcher(FILE_CHANGED)
        }
        _ => Failure::of_launcher(error),
    }
}

/// The VMM has touched a page of the snapshot's file that is not there any more (mmap(2), `SIGBUS`).
extern "C" fn tell_and_end(_: libc::c_int) {
    // SAFETY: write(2) reads constants, and _exit(2) ends the process.
    unsafe {
        for part in ["isobench-vmm: ", FILE_CHANGED, "\n"] {
            libc::write(libc::STDERR_FILENO, part.as_ptr().cast(), part.len());
        }
        libc::_exit(LAUNCHER_FAILED)
    }
}
