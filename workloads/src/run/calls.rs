#![expect(
    unsafe_code,
    reason = "makes every system call there is, with arguments that none can do anything with"
)]
//! `calls`: tries every system call, and says which of them something inside the target's kernel answers.
//!
//! Each is made with arguments that it can do nothing with: no descriptor, no address, no process has the number -1. So
//! whoever implements the call says what is wrong with them, who doesn't know it says `ENOSYS`, and a filter says `EPERM` or
//! kills. [`arguments`] has the exceptions. As the program may be the host's root, a call is made in a child of its own that
//! ends right after it, and [`UNTRIED`] are left out. Without a kernel there are no children: then [`FINAL`] are left out as
//! well, and the rest is made by the program itself.

use std::arch::asm;
use std::io::{Read, Write};

use nix::errno::Errno;
use nix::libc::{self, c_int, c_long};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

use super::{WorkloadError, begin, send};
use crate::calls::{CALLS, Calls, KernelSeen};
use crate::protocol::Message;

/// Neither a descriptor, nor an address, a process or a sensible size.
const BAD: u64 = u64::MAX;

/// Never tried: `rt_sigreturn` goes wherever the stack says, and `sync` writes back all of the host's files.
const UNTRIED: [c_long; 2] = [libc::SYS_rt_sigreturn, libc::SYS_sync];
/// Not tried by a program that has no child for it, since they don't return.
const FINAL: [c_long; 3] = [libc::SYS_exit, libc::SYS_exit_group, libc::SYS_pause];

/// How long a call may block before its child is killed, in microseconds; for `pause`, which always does, and for the rest.
const PAUSE: i64 = 10_000;
const BLOCKED: i64 = 2_000_000;

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Answered,
    Refused,
    Unknown,
    Untried,
}

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
            let code = if prepare_child(number) {
                answer(number)
            } else {
                Answer::Untried
            };
            // SAFETY: ends this process, which has nothing to flush.
            unsafe { libc::_exit(code as c_int) }
        }
        Err(Errno::ENOSYS) if FINAL.contains(&number) => Ok(Answer::Untried),
        Err(Errno::ENOSYS) => Ok(answer(number)),
        Err(errno) => Err(kernel("fork", errno)),
    }
}

fn kernel(operation: &'static str, errno: Errno) -> WorkloadError {
    WorkloadError::Kernel {
        operation,
        source: errno.into(),
    }
}

/// What a child's end says: its code is its answer, and a call that it didn't come back from was answered, unless by the
/// signal of a filter.
fn of_ending(ended: WaitStatus) -> Answer {
    let codes = [
        Answer::Answered,
        Answer::Refused,
        Answer::Unknown,
        Answer::Untried,
    ];
    match ended {
        WaitStatus::Exited(_, code) => {
            let known = codes.into_iter().find(|answer| *answer as c_int == code);
            known.unwrap_or(Answer::Answered)
        }
        WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGSYS, _) => Answer::Refused,
        _ => Answer::Answered,
    }
}

/// Has the child leave no core file, and end if the call blocks; says whether the call may be made.
fn prepare_child(number: c_long) -> bool {
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
    // SAFETY: both read a structure that lives on. Where they fail, the child does without.
    unsafe {
        libc::setrlimit(libc::RLIMIT_CORE, &raw const limit);
        libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut());
    }
    // It hangs up the session's terminal; in a session of its own there is none.
    // SAFETY: takes nothing, and changes this process alone.
    number != libc::SYS_vhangup || unsafe { libc::setsid() } != -1
}

/// Makes the call, and says what it gave.
fn answer(number: c_long) -> Answer {
    let result = if [libc::SYS_fork, libc::SYS_vfork].contains(&number) {
        fork_and_wait(number)
    } else {
        // SAFETY: `arguments` makes it harmless.
        unsafe { call(number, arguments(number)) }
    };
    match Errno::from_raw(i32::try_from(-result).unwrap_or(0)) {
        Errno::EPERM => Answer::Refused,
        Errno::ENOSYS => Answer::Unknown,
        _ => Answer::Answered,
    }
}

/// Arguments with which `number` fails or changes nothing beyond this process, and by which no filter's look at arguments
/// decides otherwise than of ordinary use.
fn arguments(number: c_long) -> [u64; 6] {
    let with = |first: u64, second: u64, third: u64| [first, second, third, BAD, BAD, BAD];
    match number {
        // -1 would be everybody, which only the bad signal prevents.
        libc::SYS_kill => with(0x7fff_fffe, BAD, BAD),
        // All flags include the namespaces', which filters refuse; these contradict each other.
        libc::SYS_clone => with(libc::CLONE_THREAD.unsigned_abs().into(), 0, 0),
        // All flags include the one that makes a queue.
        libc::SYS_msgget => with(BAD, 0, 0),
        // To an unknown operation these two say that the call itself is unknown.
        libc::SYS_modify_ldt => with(0, BAD, 0),
        libc::SYS_futex => with(BAD, libc::FUTEX_WAKE.unsigned_abs().into(), 0),
        // The size of a module is memory that the kernel asks for.
        libc::SYS_init_module => with(BAD, 0, BAD),
        // Their code would be taken for an answer.
        libc::SYS_exit | libc::SYS_exit_group => [0; 6],
        _ => [BAD; 6],
    }
}

/// One system call as it is, and what is in RAX after it.
///
/// # Safety
/// With these arguments it writes no memory of this program's, and ends or changes no more than this process.
unsafe fn call(number: c_long, arguments: [u64; 6]) -> c_long {
    let [rdi, rsi, rdx, r10, r8, r9] = arguments;
    let result;
    // SAFETY: the caller's; a system call leaves all registers but RAX, RCX and R11.
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

/// `fork` or `vfork`, with a child that ends at once.
fn fork_and_wait(number: c_long) -> c_long {
    let result: c_long;
    // SAFETY: the child, which may share this stack, touches nothing before it exits.
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
    fn a_bare_process_reaches_the_kernel_with_nearly_all_calls() {
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
    fn trying_all_calls_makes_nothing_that_stays() {
        let queues = || std::fs::read_to_string("/proc/sysvipc/msg").unwrap_or_default();
        let before = queues();
        let calls = [tried(), tried()];
        assert_eq!(calls[0].answered, calls[1].answered);
        assert_eq!(queues(), before);
    }
}
