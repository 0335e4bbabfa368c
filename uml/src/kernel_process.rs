#![expect(
    unsafe_code,
    reason = "clones this process to start the kernel's program"
)]
//! The process of the guest's kernel: started in namespaces of its own, and ended with all that it
//! has started.
//!
//! Process 1 of a PID namespace waits for the kernel's process, and ends after it. The host's kernel
//! then ends the guest's programs and the kernel's helpers too. When the launcher ends, whatever the
//! reason, the host's kernel ends process 1 (`PR_SET_PDEATHSIG`). The kernel itself can't be process
//! 1, which `SIGABRT` doesn't end: a kernel that panics would raise the signal for ever.

use std::convert::Infallible;
use std::ffi::{CStr, c_int, c_uint};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use isobench_container::{IdMap, MapError, Privilege};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, FdFlag, OFlag, fcntl};
use nix::libc;
use nix::sched::{CloneFlags, clone};
use nix::sys::personality::{self, Persona};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, execveat, fork, pipe2};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, set_capabilities,
    set_capabilities_secure_bits, set_no_new_privs,
};

use crate::affinity;
use crate::child_step::{ChildError, ChildStep};
use crate::command_line::{self, Lines};
use crate::config::CheckedConfig;
use crate::root;

/// The stack of the child between clone and exec, in bytes.
const STACK: usize = 256 * 1024;

/// The kernel's environment: where it makes the file that is guest memory, and its home. glibc must
/// not register restartable sequences, whose registration the guest's programs would inherit: the
/// host's kernel would end the guest at its first program.
const ENVIRONMENT: [&CStr; 3] = [
    c"TMPDIR=/",
    c"HOME=/",
    c"GLIBC_TUNABLES=glibc.pthread.rseq=0",
];

/// The kernel's process can't be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// A pipe can't be made.
    #[error("making a pipe to the guest's kernel")]
    Pipe(#[source] Errno),
    /// The host refuses the namespaces.
    #[error(
        "making the namespaces of the guest's kernel; as an ordinary user this takes user namespaces: see isobench doctor"
    )]
    Namespaces(#[source] Errno),
    /// The map of ids can't be written.
    #[error(transparent)]
    Ids(#[from] MapError),
    /// The process failed before it executed the kernel.
    #[error("starting the guest's kernel: {step}")]
    Child {
        /// The step that failed.
        step: ChildStep,
        /// The host's answer.
        source: Errno,
    },
}

/// This process's ends of the kernel's lines.
#[derive(Debug)]
pub(crate) struct Streams {
    /// Calls to `/init`.
    pub(crate) calls: File,
    /// Frames from `/init`.
    pub(crate) frames: File,
    /// The kernel's messages.
    pub(crate) messages: File,
}

/// The kernel's ends of its lines.
#[derive(Debug)]
struct KernelEnds {
    calls: OwnedFd,
    frames: OwnedFd,
    messages: OwnedFd,
}

/// Process 1 of the kernel's namespace. Dropping the value ends the process, and all others there.
#[derive(Debug)]
pub(crate) struct KernelProcess(Pid);

impl KernelProcess {
    /// Lets the kernel and its programs run on each processor that this process may use.
    pub(crate) fn release_processors(&self) {
        affinity::release(self.0);
    }

    /// The path on the host of the file `name` in the process's root.
    pub(crate) fn file(&self, name: &str) -> String {
        format!("/proc/{}/root/{name}", self.0)
    }
}

impl Drop for KernelProcess {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        // A process 1 is reaped only after all others of its namespace have ended.
        let _ = waitpid(self.0, None);
    }
}

/// Starts the kernel. The launcher has one thread.
pub(crate) fn spawn(config: &CheckedConfig) -> Result<(KernelProcess, Streams), SpawnError> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(SpawnError::Pipe);
    let (kernel_calls, calls) = pipe()?;
    let (frames, kernel_frames) = pipe()?;
    let (messages, kernel_messages) = pipe()?;
    let (go, let_go) = pipe()?;
    let mut let_go = Some(let_go);
    let (report, child_report) = pipe()?;
    let ends = KernelEnds {
        calls: kernel_calls,
        frames: kernel_frames,
        messages: kernel_messages,
    };
    let privilege = Privilege::of_this_process();
    let mut namespaces = CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS;
    if privilege == Privilege::Ordinary {
        namespaces |= CloneFlags::CLONE_NEWUSER;
    }
    let mut stack = vec![0; STACK];
    let child = || -> isize {
        // Only the launcher may hold this end: so the pipe ends with the launcher.
        drop(let_go.take());
        let Err(ChildError { step, errno }) = become_kernel(config, &ends, &go);
        let mut report = [step as u8; 5];
        report[1..].copy_from_slice(&(errno as i32).to_le_bytes());
        // The launcher waits for the report, or has gone itself.
        let _ = nix::unistd::write(&child_report, &report);
        1
    };
    // SAFETY: without CLONE_VM the child has a copy of this process's memory, as after fork(2), and
    // the stack's copy is large enough for what `become_kernel` does. The launcher has no other
    // thread that could hold a lock, so the child may do whatever this process may.
    let pid = unsafe {
        clone(
            Box::new(child),
            &mut stack,
            namespaces,
            Some(Signal::SIGCHLD as c_int),
        )
    };
    let process = KernelProcess(pid.map_err(SpawnError::Namespaces)?);
    if privilege == Privilege::Ordinary {
        IdMap::of_user_namespace(privilege).write(process.0)?;
    }
    if let Some(let_go) = &let_go {
        // If this fails the child has ended, and its report says why.
        let _ = nix::unistd::write(let_go, &[0]);
    }
    drop((ends, child_report));
    check_report(File::from(report))?;
    let streams = Streams {
        calls: calls.into(),
        frames: frames.into(),
        messages: messages.into(),
    };
    Ok((process, streams))
}

/// Reads what the child has to report. The pipe ends without a report when the kernel is executed.
fn check_report(mut report: File) -> Result<(), SpawnError> {
    let mut bytes = Vec::new();
    let read = report.read_to_end(&mut bytes);
    let Ok(&[step, ref errno @ ..]) = read.map(|_| bytes.as_slice()) else {
        return Ok(());
    };
    let errno = <[u8; 4]>::try_from(errno).map_or(0, i32::from_le_bytes);
    Err(SpawnError::Child {
        step: ChildStep::from_repr(step).unwrap_or(ChildStep::Execute),
        source: Errno::from_raw(errno),
    })
}

/// In the child: sets everything up, and executes the kernel.
fn become_kernel(
    config: &CheckedConfig,
    ends: &KernelEnds,
    go: &OwnedFd,
) -> Result<Infallible, ChildError> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).map_err(ChildStep::Death.failed())?;
    // A byte comes when the launcher has written the map of ids. If the launcher has ended, the pipe
    // has too.
    let came = nix::unistd::read(go, &mut [0]).map_err(ChildStep::Ids.failed())?;
    if came == 0 {
        return Err(ChildStep::Ids.failed()(Errno::EPIPE));
    }
    // With randomization a gap before the heap takes a part of guest memory: small guests panic now
    // and then.
    personality::set(Persona::ADDR_NO_RANDOMIZE).map_err(ChildStep::Personality.failed())?;
    affinity::keep_to_one_processor().map_err(ChildStep::Processor.failed())?;
    let null = File::open("/dev/null").map_err(io_error(ChildStep::Descriptors))?;
    let lines = Lines {
        calls: ends.calls.as_raw_fd(),
        frames: ends.frames.as_raw_fd(),
        messages: ends.messages.as_raw_fd(),
    };
    let words = command_line::words(config, lines);
    root::enter(config)?;
    give_up_privileges().map_err(ChildStep::Privileges.failed())?;
    keep_descriptors(config, ends, &null).map_err(ChildStep::Descriptors.failed())?;
    // SAFETY: this process has one thread, as its launcher had.
    if let ForkResult::Parent { child } = unsafe { fork() }.map_err(ChildStep::Execute.failed())? {
        wait_and_end(child);
    }
    let kernel = config.kernel.as_fd();
    execveat(kernel, c"", &words, &ENVIRONMENT, AtFlags::AT_EMPTY_PATH)
        .map_err(ChildStep::Execute.failed())
}

/// In process 1: waits for the end of the kernel, and ends.
fn wait_and_end(kernel: Pid) -> ! {
    // The kernel's lines end with the kernel alone.
    // SAFETY: close_range(2) takes three integers, and this process uses no descriptor any more.
    unsafe { libc::syscall(libc::SYS_close_range, 0, c_uint::MAX, 0) };
    while !waitpid(None, None).is_ok_and(|ended| ended.pid() == Some(kernel)) {}
    // SAFETY: _exit(2) ends the process, and nothing is to be written before.
    unsafe { libc::_exit(0) }
}

/// Gives up all capabilities, for good: the kernel needs none, and its guest is not trusted.
fn give_up_privileges() -> Result<(), Errno> {
    let give_up = || {
        set_no_new_privs(true)?;
        // Without these bits a program of user 0 asks for capabilities again, and execve(2) switches
        // address randomization on for a program that would get more (capabilities(7)).
        set_capabilities_secure_bits(
            CapabilitiesSecureBits::NO_ROOT | CapabilitiesSecureBits::NO_ROOT_LOCKED,
        )?;
        set_capabilities(
            None,
            CapabilitySets {
                effective: CapabilitySet::empty(),
                permitted: CapabilitySet::empty(),
                inheritable: CapabilitySet::empty(),
            },
        )
    };
    give_up().map_err(|error| Errno::from_raw(error.raw_os_error()))
}

/// Has the kernel inherit its lines and its network card. What the kernel says before it has a
/// console goes to the same pipe as its messages.
fn keep_descriptors(config: &CheckedConfig, ends: &KernelEnds, null: &File) -> Result<(), Errno> {
    dup2_stdin(null)?;
    dup2_stdout(&ends.messages)?;
    dup2_stderr(&ends.messages)?;
    let card = config.config.network.as_ref();
    let card = card.map(|card| &card.descriptor);
    for descriptor in [&ends.calls, &ends.frames, &ends.messages]
        .into_iter()
        .chain(card)
    {
        fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
    }
    Ok(())
}

fn io_error(step: ChildStep) -> impl FnOnce(io::Error) -> ChildError {
    move |error| {
        let errno = error.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        ChildError { step, errno }
    }
}
