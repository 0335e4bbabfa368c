#![expect(
    unsafe_code,
    reason = "makes every system call, with arguments with which no call can do anything"
)]
//! `calls`: tries every system call, and says which calls the target answers.
//!
//! Each call is made with arguments with which it can do nothing: no descriptor, no address and no
//! process has the number -1. A kernel that implements the call says what is wrong with the
//! arguments, a kernel that does not know the call says `ENOSYS`, and a filter says `EPERM` or
//! kills. [`arguments`] has the exceptions.
//!
//! The program may be the host's root. So each call is made in a child of its own, which ends right
//! after the call, and the calls of [`UNTRIED`] are left out. In a target without a kernel there
//! are no children. Then the calls of [`FINAL`] are left out too, and the program itself makes the
//! others.

use std::arch::asm;
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use strum::FromRepr;

use super::{WorkloadError, begin, send};
use crate::calls::{CALLS, Calls, KernelSeen};
use crate::protocol::Message;

/// A number that is no descriptor, no address, no process and no sensible size.
const BAD: u64 = u64::MAX;

/// Calls that are never tried: `rt_sigreturn` jumps to an address from the stack, and `sync` writes
/// back all files of the host.
const UNTRIED: [c_long; 2] = [libc::SYS_rt_sigreturn, libc::SYS_sync];
/// Calls that do not return. A program that cannot make a child does not try them.
const FINAL: [c_long; 3] = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_pause];

/// How long `pause`, which always blocks, may block before its child is killed, in microseconds.
const PAUSE: i64 = 10_000;
/// How long any other call may block before its child is killed, in microseconds.
const BLOCKED: i64 = 2_000_000;

/// The answer to a call. The discriminant is the exit code of the child that has made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromRepr)]
#[repr(i32)]
enum Answer {
    Answered,
    Refused,
    Unknown,
    Untried,
}

/// Tries all calls, and sends the answers.
pub(super) fn run(output: &mut dyn Write, input: &mut dyn Read) -> Result<(), WorkloadError> {
    begin(output, input)?;
    let mut calls = Calls {
        kernel: KernelSeen::now(),
        ..Calls::default()
    };
    for number in 0..CALLS {
        let answer = try_call(number.into())?;
        let set = match answer {
            Answer::Answered => &mut calls.answered,
            Answer::Refused => &mut calls.refused,
            Answer::Unknown => &mut calls.unknown,
            Answer::Untried => &mut calls.untried,
        };
        set.insert(number);
    }
    send(&Message::Calls(Box::new(calls)), output)
}

/// Tries one call, in a child if there can be one.
fn try_call(number: c_long) -> Result<Answer, WorkloadError> {
    if UNTRIED.contains(&number) {
        return Ok(Answer::Untried);
    }
    // SAFETY: the child allocates nothing and takes no lock before it ends.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => {
            let ended = waitpid(child, None).map_err(|errno| kernel("wait4", errno))?;
            Ok(of_ending(ended))
        }
        Ok(ForkResult::Child) => {
            let answer = match prepare_child(number) {
                // SAFETY: the call is not of UNTRIED, and this child ends right after the call.
                Readiness::Ready => unsafe { answer(number) },
                Readiness::WouldHarm => Answer::Untried,
            };
            // SAFETY: the call ends this process, which has nothing to flush.
            unsafe { libc::_exit(answer as c_int) }
        }
        Err(Errno::ENOSYS) if FINAL.contains(&number) => Ok(Answer::Untried),
        // SAFETY: the call is neither of UNTRIED nor of FINAL.
        Err(Errno::ENOSYS) => Ok(unsafe { answer(number) }),
        Err(errno) => Err(kernel("fork", errno)),
    }
}

fn kernel(operation: &'static str, errno: Errno) -> WorkloadError {
    WorkloadError::Kernel {
        operation,
        source: errno.into(),
    }
}

/// The answer that a child's end tells. The exit code of the child is the answer. A call that did
/// not return was answered, unless the signal of a filter ended the child.
fn of_ending(ended: WaitStatus) -> Answer {
    match ended {
        WaitStatus::Exited(_, code) => Answer::from_repr(code).unwrap_or(Answer::Answered),
        WaitStatus::Signaled(_, Signal::SIGSYS, _) => Answer::Refused,
        _ => Answer::Answered,
    }
}

/// Whether a child can make its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    Ready,
    /// The call would change something outside of the child.
    WouldHarm,
}

/// Prepares the child for its call. The child leaves no core file, and ends if the call blocks.
fn prepare_child(number: c_long) -> Readiness {
    let microseconds = if number == libc::SYS_pause {
        PAUSE
    } else {
        BLOCKED
    };
    let limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    let timer = libc::itimerval {
        it_interval: libc::timeval {
            tv_sec: 0,
            tv_usec: 0,
        },
        it_value: libc::timeval {
            tv_sec: microseconds / 1_000_000,
            tv_usec: microseconds % 1_000_000,
        },
    };
    // SAFETY: both calls read a structure that lives until they return. A child in which they fail
    // goes on without them.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
    // vhangup hangs up the terminal of the session. A session of the child's own has no terminal.
    // SAFETY: the call takes no argument, and changes this process alone.
    if number == libc::SYS_vhangup && unsafe { libc::setsid() } == -1 {
        return Readiness::WouldHarm;
    }
    Readiness::Ready
}

/// Makes the call, and tells the answer.
///
/// # Safety
/// `number` is not of [`UNTRIED`]. If this process is not a child that ends right after the call,
/// `number` is not of [`FINAL`] either.
unsafe fn answer(number: c_long) -> Answer {
    let result = if [libc::SYS_fork, libc::SYS_vfork].contains(&number) {
        // SAFETY: the number is one of these two.
        unsafe { fork_and_wait(number) }
    } else {
        // SAFETY: with these arguments the call is harmless.
        unsafe { call(number, arguments(number)) }
    };
    match Errno::from_raw(i32::try_from(-result).unwrap_or(0)) {
        Errno::EPERM => Answer::Refused,
        Errno::ENOSYS => Answer::Unknown,
        _ => Answer::Answered,
    }
}

/// Arguments with which the call `number` fails, or changes nothing beyond this process. A filter
/// that looks at arguments decides about them as about arguments of ordinary use.
fn arguments(number: c_long) -> [u64; 6] {
    let with = |first: u64, second: u64, third: u64| [first, second, third, BAD, BAD, BAD];
    match number {
        // -1 would mean every process, and only the bad signal number would save them.
        libc::SYS_kill => with(0x7fff_fffe, BAD, BAD),
        // All flags would include those of namespaces, which filters refuse. This flag needs
        // others, so the kernel refuses it.
        libc::SYS_clone => with(libc::CLONE_THREAD.unsigned_abs().into(), 0, 0),
        // All flags would include the one that makes a queue.
        libc::SYS_msgget => with(BAD, 0, 0),
        // For an unknown operation, these two calls say that the call itself is unknown.
        libc::SYS_modify_ldt => with(0, BAD, 0),
        libc::SYS_futex => with(BAD, libc::FUTEX_WAKE.unsigned_abs().into(), 0),
        // The kernel would allocate as much memory as the size of the module says.
        libc::SYS_init_module => with(BAD, 0, BAD),
        // The exit code is taken for the answer.
        libc::SYS_exit | libc::SYS_exit_group => [0; 6],
        _ => [BAD; 6],
    }
}

/// Makes one system call, and gives what is in RAX after the call.
///
/// # Safety
/// With these arguments the call writes to no memory of this program, and ends or changes nothing
/// but this process.
unsafe fn call(number: c_long, arguments: [u64; 6]) -> c_long {
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    let result;
    // SAFETY: the caller promises that the call is harmless. A system call keeps all registers but
    // RAX, RCX and R11.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") rdi, in("rsi") rsi, in("rdx") rdx, in("r10") r10, in("r8") r8, in("r9") r9,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

/// Makes `fork` or `vfork`, with a child that ends at once.
///
/// # Safety
/// `number` is that of `fork` or `vfork`.
unsafe fn fork_and_wait(number: c_long) -> c_long {
    let result: c_long;
    // SAFETY: the child may share this stack, and touches nothing on it before the child exits.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "mov eax, {exit}",
            "xor edi, edi",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") number => result,
            out("rdi") _, lateout("rcx") _, lateout("r11") _,
        );
    }
    if let Some(child) = i32::try_from(result).ok().filter(|child| *child > 0) {
        let _ = waitpid(nix::unistd::Pid::from_raw(child), None);
    }
    result
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn tried() -> Calls {
        let mut output = Vec::new();
        run(&mut output, &mut io::empty()).unwrap();
        let text = String::from_utf8(output).unwrap();
        let last = text.lines().last().unwrap();
        match last.parse().unwrap() {
            Message::Calls(calls) => *calls,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_kernel_answers_nearly_all_calls_of_a_bare_process() {
        let calls = tried();
        assert!(calls.answered.count() > 300, "{}", calls.answered.count());
        for number in [
            libc::SYS_exit,
            libc::SYS_pause,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_clone,
            libc::SYS_futex,
        ] {
            let number = u16::try_from(number).unwrap();
            assert!(calls.answered.contains(number), "{number}: {calls}");
        }
        assert_eq!(
            calls.untried.iter().map(c_long::from).collect::<Vec<_>>(),
            UNTRIED
        );
        assert!(calls.unknown.contains(CALLS - 1));
    }

    #[test]
    fn trying_all_calls_leaves_nothing_behind() {
        let queues = || std::fs::read_to_string("/proc/sysvipc/msg").unwrap_or_default();
        let before = queues();
        let calls = [tried(), tried()];
        assert_eq!(calls[0].answered, calls[1].answered);
        assert_eq!(queues(), before);
    }
}
