#![expect(
    unsafe_code,
    reason = "ptrace(2), waitpid(2) with signals that nix can't name, code between fork and exec"
)]
//! Counts the system calls to the host's kernel that a target makes: those of its command, of all
//! processes that the command starts, and of the program inside.
//!
//! The tracer is a program of its own, because a tracer waits for the processes that it follows,
//! and the harness waits for its own children. The tracer follows all processes by ptrace(2), from
//! the first exec on and through every fork. A call counts if the kernel did it: a call that
//! returned `EPERM` or `ENOSYS` was refused or doesn't exist. The count inside a target has the
//! same rule. At a signal the program is about to begin; from then on, the tracer counts a second
//! time from zero. If the tracer dies, the kernel kills all processes that the tracer follows.

mod deeds;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use isobench_workloads::calls::CallSet;
use nix::errno::Errno;
use nix::libc::{self, c_int, c_long, pid_t};
use nix::sys::signal::{SigSet, Signal};

use crate::instance::marks::MarkWriter;
use deeds::Deeds;

/// The signal that tells the tracer that the program is about to begin.
pub const BEGIN_SIGNAL: Signal = Signal::SIGUSR1;
/// The mark that the tracer writes when it has received [`BEGIN_SIGNAL`].
pub const WATCHING: &str = "watching";
/// The count of different system calls from [`BEGIN_SIGNAL`] to the end.
pub const DIFFERENT_CALLS: &str = "different-calls";
/// The count of system calls from [`BEGIN_SIGNAL`] to the end.
pub const CALLS: &str = "calls";
/// The count of different system calls from the first exec to the end.
pub const DIFFERENT_CALLS_WITH_START: &str = "different-calls-with-start";

/// The beginning of the count of each single system call, from the first exec to the end. The
/// call's name follows, with hyphens for underscores.
pub const CALL: &str = "call-";
/// The count of processes that were started by processes.
pub const PROCESSES: &str = "processes";
/// The count of threads that were started.
pub const THREADS: &str = "threads";
/// The count of bytes that system calls read from files, pipes and sockets.
pub const BYTES_READ: &str = "bytes-read";
/// The count of bytes that system calls wrote to files and pipes.
pub const BYTES_WRITTEN: &str = "bytes-written";
/// The count of bytes that system calls sent by sockets.
pub const BYTES_SENT: &str = "bytes-sent";

/// What the tracer writes at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// How many system calls there were, and how many different ones.
    Totals,
    /// The same, and how often each call was made, what was started, and how much was moved.
    EachCall,
}

/// The options of ptrace(2): stops at system calls are marked as such, children are followed, and
/// the followed processes die with the tracer.
const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;
/// The signal number that stands for a stop at a system call (ptrace(2)).
const CALL_STOP: c_int = libc::SIGTRAP | 0x80;

/// The command can't be traced.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The command can't be started.
    #[error("cannot start {program:?} to be traced")]
    Start {
        /// The program.
        program: OsString,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A system call of the tracer itself failed.
    #[error("{call} failed")]
    Kernel {
        /// The system call.
        call: &'static str,
        /// The kernel's reason.
        source: Errno,
    },
}

/// Counts of system calls.
#[derive(Debug, Default)]
struct CallCounts {
    different: CallSet,
    all: u64,
}

impl CallCounts {
    fn add(&mut self, number: u64) {
        // A larger number belongs to another ABI, or to no system call.
        if let Ok(number) = u16::try_from(number) {
            self.different.insert(number);
            self.all += 1;
        }
    }
}

/// The state of all traced threads.
struct Tracer {
    first: pid_t,
    /// The exit code of the first process.
    code: u8,
    /// The threads that have stopped at least once. The first stop of a thread is its attachment.
    attached: HashSet<pid_t>,
    /// The system call that each thread is in.
    current_calls: HashMap<pid_t, u64>,
    /// The counts from the first exec on.
    with_start: CallCounts,
    /// The counts from [`BEGIN_SIGNAL`] on.
    since_begin: Option<CallCounts>,
    deeds: Deeds,
}

/// Runs `command` to its end or to `SIGTERM`, writes the counts of its system calls to `marks`, and
/// returns the command's exit code. The counts cover all processes that the command starts. After
/// `SIGTERM` the kernel kills all of them with the tracer.
///
/// # Errors
/// See [`TraceError`].
pub fn follow(command: &[OsString], marks: &MarkWriter, detail: Detail) -> Result<u8, TraceError> {
    let signals = [Signal::SIGCHLD, Signal::SIGTERM, BEGIN_SIGNAL];
    let awaited: SigSet = signals.into_iter().collect();
    let before = awaited
        .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
        .map_err(|source| kernel("sigprocmask", source))?;
    let first = start(command, before)?;
    let mut tracer = Tracer {
        first,
        code: 0,
        attached: HashSet::new(),
        current_calls: HashMap::new(),
        with_start: CallCounts::default(),
        since_begin: None,
        deeds: Deeds::default(),
    };
    while tracer.handle_stops()? == Traced::Some {
        let signal = awaited.wait().map_err(|source| kernel("sigwait", source))?;
        if signal == Signal::SIGTERM {
            break;
        }
        if signal == BEGIN_SIGNAL {
            tracer.since_begin = Some(CallCounts::default());
            marks.mark(WATCHING);
        }
    }
    let counts = tracer.since_begin.unwrap_or_default();
    marks.count(DIFFERENT_CALLS, counts.different.count().into());
    marks.count(CALLS, counts.all);
    let with_start = tracer.with_start.different.count();
    marks.count(DIFFERENT_CALLS_WITH_START, with_start.into());
    if detail == Detail::EachCall {
        tracer.deeds.write(marks);
    }
    Ok(tracer.code)
}

fn kernel(call: &'static str, source: Errno) -> TraceError {
    TraceError::Kernel { call, source }
}

/// Starts the command, which stops as soon as its program has been loaded.
fn start(command: &[OsString], mask: SigSet) -> Result<pid_t, TraceError> {
    let program = command.first().cloned().unwrap_or_default();
    let mut traced = Command::new(&program);
    traced.args(command.iter().skip(1));
    // SAFETY: the closure runs in the child between fork and exec, as `become_traced` demands, and
    // does nothing else.
    unsafe { traced.pre_exec(move || become_traced(&mask).map_err(io::Error::from)) };
    let child = traced
        .spawn()
        .map_err(|source| TraceError::Start { program, source })?;
    Ok(child.id().cast_signed())
}

/// Makes the calling process a traced child of the tracer, with the signal mask `mask`.
///
/// # Safety
/// Only a child between fork and exec may call this function: its parent becomes its tracer. The
/// function must not allocate, take a lock or panic, because another thread of the parent may have
/// held a lock at the fork. It makes three system calls.
unsafe fn become_traced(mask: &SigSet) -> nix::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    mask.thread_set_mask()?;
    nix::sys::ptrace::traceme()
}

/// Whether processes are left to trace.
#[derive(PartialEq, Eq)]
enum Traced {
    Some,
    None,
}

impl Tracer {
    /// Handles all threads that have stopped or ended by now.
    fn handle_stops(&mut self) -> Result<Traced, TraceError> {
        loop {
            let mut status = 0;
            // SAFETY: waitpid(2) writes the status to a local variable, which lives through the
            // call.
            let waited =
                unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
            match Errno::result(waited) {
                Ok(0) => return Ok(Traced::Some),
                Ok(thread) => self.handle(thread, status)?,
                Err(Errno::ECHILD) => return Ok(Traced::None),
                Err(Errno::EINTR) => {}
                Err(source) => return Err(kernel("waitpid", source)),
            }
        }
    }

    /// Handles one thread that has stopped or ended, and lets a stopped thread go on.
    fn handle(&mut self, thread: pid_t, status: c_int) -> Result<(), TraceError> {
        if !libc::WIFSTOPPED(status) {
            self.current_calls.remove(&thread);
            if thread == self.first {
                self.code = exit_code(status);
            }
            return Ok(());
        }
        let signal = libc::WSTOPSIG(status);
        let is_new = self.attached.insert(thread);
        if is_new && thread == self.first {
            request(libc::PTRACE_SETOPTIONS, thread, OPTIONS)?;
        }
        let is_event = signal == libc::SIGTRAP && status >> 16 != 0;
        let passed_on = if signal == CALL_STOP {
            self.handle_call(thread);
            0
        } else if is_event {
            self.deeds.add_event(status >> 16);
            0
        } else if is_new {
            0
        } else {
            signal
        };
        request(libc::PTRACE_SYSCALL, thread, passed_on)
    }

    /// Handles a thread at the entry or the exit of a system call.
    fn handle_call(&mut self, thread: pid_t) {
        match call_stop(thread) {
            Some(CallStop::Entry(number)) => {
                self.current_calls.insert(thread, number);
                let number_is = |known: c_long| c_long::try_from(number) == Ok(known);
                // These two calls never return, so they count at their entry.
                if number_is(libc::SYS_exit) || number_is(libc::SYS_exit_group) {
                    self.add(number);
                    self.deeds.add_call(number, 0);
                }
            }
            Some(CallStop::Exit(result)) => {
                let refused = [libc::EPERM, libc::ENOSYS].map(|errno| -i64::from(errno));
                if let Some(number) = self.current_calls.remove(&thread) {
                    self.deeds.add_call(number, result);
                    if !refused.contains(&result) {
                        self.add(number);
                    }
                }
            }
            None => {}
        }
    }

    fn add(&mut self, number: u64) {
        self.with_start.add(number);
        if let Some(counts) = &mut self.since_begin {
            counts.add(number);
        }
    }
}

/// The side of a system call at which a thread has stopped.
enum CallStop {
    /// The entry of the call with this number.
    Entry(u64),
    /// The exit of a call with this result.
    Exit(i64),
}

/// Asks the kernel where `thread` has stopped. `None` if the thread has been killed meanwhile.
fn call_stop(thread: pid_t) -> Option<CallStop> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: ptrace(2) writes up to `size` bytes into a structure of that size.
    let written = unsafe {
        libc::ptrace(
            libc::PTRACE_GET_SYSCALL_INFO,
            thread,
            size,
            info.as_mut_ptr(),
        )
    };
    if written <= 0 {
        return None;
    }
    // SAFETY: the structure is made of integers, for which zero is a valid value.
    let info = unsafe { info.assume_init() };
    match info.op {
        // SAFETY: `op` says which member of the union the kernel wrote.
        libc::PTRACE_SYSCALL_INFO_ENTRY => Some(CallStop::Entry(unsafe { info.u.entry.nr })),
        // SAFETY: as above.
        libc::PTRACE_SYSCALL_INFO_EXIT => Some(CallStop::Exit(unsafe { info.u.exit.sval })),
        _ => None,
    }
}

/// Makes a request of ptrace(2) whose data is a number. A thread that has been killed is no error:
/// the tracer sees its end next.
fn request(request: libc::c_uint, thread: pid_t, data: c_int) -> Result<(), TraceError> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests read and write no memory of this program.
    let result = unsafe { libc::ptrace(request, thread, none, c_long::from(data)) };
    match Errno::result(result) {
        Ok(_) | Err(Errno::ESRCH) => Ok(()),
        Err(source) => Err(kernel("ptrace", source)),
    }
}

/// The exit code that a shell would show.
fn exit_code(status: c_int) -> u8 {
    let code = if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status)
    } else {
        128 + libc::WTERMSIG(status)
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}
