#![expect(
    unsafe_code,
    reason = "ptrace(2), waitpid(2) with signals that nix has no names for, and a child between fork and exec"
)]
//! Which system calls of the host's kernel a target makes: its command, whatever that starts, and the program inside.
//!
//! A small program of its own follows all of them by ptrace(2), from the first exec on and through every fork, since
//! waiting for the harness's children is the harness's business. It counts a call if the kernel did it: one that came
//! back with `EPERM` or `ENOSYS` was refused or isn't there, by the same rule as inside. Told by a signal that the program
//! is about to begin, it counts anew beside the whole. If it dies, all that it follows die with it.

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

/// The signal by which it is told that the program is about to begin.
pub const BEGIN_SIGNAL: Signal = Signal::SIGUSR1;
/// The mark that says that it has heard it.
pub const WATCHING: &str = "watching";
/// Names of what it counts: different calls, and calls, from [`BEGIN_SIGNAL`] to the end; different ones of the whole.
pub const KINDS: &str = "kinds";
/// See [`KINDS`].
pub const MADE: &str = "made";
/// See [`KINDS`].
pub const WHOLE: &str = "whole";

/// What is followed, and how: stops at system calls are told from others, children are followed, and nobody is left.
const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_EXITKILL;
/// A stop at a system call (ptrace(2)).
const CALL_STOP: c_int = libc::SIGTRAP | 0x80;

/// The command can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// It can't be started.
    #[error("cannot start {program:?} to be traced")]
    Start {
        /// The program.
        program: OsString,
        /// Why.
        source: io::Error,
    },
    /// The kernel refuses.
    #[error("{call} failed")]
    Kernel {
        /// The system call.
        call: &'static str,
        /// Why.
        source: Errno,
    },
}

/// Calls of the host's kernel.
#[derive(Debug, Default)]
struct Seen {
    kinds: CallSet,
    made: u64,
}

impl Seen {
    fn add(&mut self, number: u64) {
        // A number beyond the sets is a call of another ABI, or none.
        if let Ok(number) = u16::try_from(number) {
            self.kinds.insert(number);
            self.made += 1;
        }
    }
}

/// All that are followed.
struct Tracer {
    first: pid_t,
    code: u8,
    /// Threads that have stopped once: the first stop of each is its attachment.
    known: HashSet<pid_t>,
    /// The call that each thread is in.
    within: HashMap<pid_t, u64>,
    whole: Seen,
    running: Option<Seen>,
}

/// Runs `command` to its end, tells `marks` what it and all that it started called, and gives its exit code.
///
/// # Errors
/// See [`TraceError`].
pub fn follow(command: &[OsString], marks: &MarkWriter) -> Result<u8, TraceError> {
    let awaited: SigSet = [Signal::SIGCHLD, BEGIN_SIGNAL].into_iter().collect();
    let before = awaited
        .thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK)
        .map_err(|source| kernel("sigprocmask", source))?;
    let first = start(command, before)?;
    let mut tracer = Tracer {
        first,
        code: 0,
        known: HashSet::new(),
        within: HashMap::new(),
        whole: Seen::default(),
        running: None,
    };
    while tracer.serve_all()? {
        let signal = awaited.wait().map_err(|source| kernel("sigwait", source))?;
        if signal == BEGIN_SIGNAL {
            tracer.running = Some(Seen::default());
            marks.mark(WATCHING);
        }
    }
    let running = tracer.running.unwrap_or_default();
    marks.count(KINDS, running.kinds.count().into());
    marks.count(MADE, running.made);
    marks.count(WHOLE, tracer.whole.kinds.count().into());
    Ok(tracer.code)
}

fn kernel(call: &'static str, source: Errno) -> TraceError {
    TraceError::Kernel { call, source }
}

/// Starts the command; it stops as soon as its program has been loaded.
fn start(command: &[OsString], mask: SigSet) -> Result<pid_t, TraceError> {
    let program = command.first().cloned().unwrap_or_default();
    let mut traced = Command::new(&program);
    traced.args(command.iter().skip(1));
    let prepare = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        mask.thread_set_mask()?;
        nix::sys::ptrace::traceme()?;
        Ok(())
    };
    // SAFETY: three system calls, which allocate nothing and take no lock.
    unsafe { traced.pre_exec(prepare) };
    let child = traced
        .spawn()
        .map_err(|source| TraceError::Start { program, source })?;
    Ok(child.id().cast_signed())
}

impl Tracer {
    /// Serves whoever has stopped or ended; says whether anybody is left.
    fn serve_all(&mut self) -> Result<bool, TraceError> {
        loop {
            let mut status = 0;
            // SAFETY: writes the status, which lives on.
            let waited =
                unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::WNOHANG) };
            match Errno::result(waited) {
                Ok(0) => return Ok(true),
                Ok(thread) => self.serve(thread, status)?,
                Err(Errno::ECHILD) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(source) => return Err(kernel("waitpid", source)),
            }
        }
    }

    fn serve(&mut self, thread: pid_t, status: c_int) -> Result<(), TraceError> {
        if !libc::WIFSTOPPED(status) {
            self.within.remove(&thread);
            if thread == self.first {
                self.code = exit_code(status);
            }
            return Ok(());
        }
        let signal = libc::WSTOPSIG(status);
        let is_new = self.known.insert(thread);
        if is_new && thread == self.first {
            request(libc::PTRACE_SETOPTIONS, thread, OPTIONS)?;
        }
        let is_event = signal == libc::SIGTRAP && status >> 16 != 0;
        let passed_on = if signal == CALL_STOP {
            self.at_call(thread);
            0
        } else if is_new || is_event {
            0
        } else {
            signal
        };
        request(libc::PTRACE_SYSCALL, thread, passed_on)
    }

    /// A thread is at the beginning of a system call, or at its end.
    fn at_call(&mut self, thread: pid_t) {
        match call_of(thread) {
            Some(At::Entry(number)) => {
                self.within.insert(thread, number);
                let number_is = |known: c_long| c_long::try_from(number) == Ok(known);
                // These don't come back.
                if number_is(libc::SYS_exit) || number_is(libc::SYS_exit_group) {
                    self.add(number);
                }
            }
            Some(At::Exit(result)) => {
                let refused = [libc::EPERM, libc::ENOSYS].map(|errno| -i64::from(errno));
                if let Some(number) = self.within.remove(&thread)
                    && !refused.contains(&result)
                {
                    self.add(number);
                }
            }
            None => {}
        }
    }

    fn add(&mut self, number: u64) {
        self.whole.add(number);
        if let Some(running) = &mut self.running {
            running.add(number);
        }
    }
}

/// Where a thread is that has stopped at a system call.
enum At {
    Entry(u64),
    Exit(i64),
}

/// What the kernel says of the stop; nothing if the thread has been killed meanwhile.
fn call_of(thread: pid_t) -> Option<At> {
    let mut info = MaybeUninit::<libc::ptrace_syscall_info>::zeroed();
    let size = size_of::<libc::ptrace_syscall_info>();
    // SAFETY: writes up to `size` bytes into a structure of that size.
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
    // SAFETY: plain integers, all of them set to zero before.
    let info = unsafe { info.assume_init() };
    match info.op {
        // SAFETY: `op` says which member of the union was written.
        libc::PTRACE_SYSCALL_INFO_ENTRY => Some(At::Entry(unsafe { info.u.entry.nr })),
        // SAFETY: as above.
        libc::PTRACE_SYSCALL_INFO_EXIT => Some(At::Exit(unsafe { info.u.exit.sval })),
        _ => None,
    }
}

/// A request with a number; that the thread is gone is no error, and its end will be told.
fn request(request: libc::c_uint, thread: pid_t, data: c_int) -> Result<(), TraceError> {
    let none = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these requests read and write no memory of this program's.
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
