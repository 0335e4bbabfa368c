//! The calls on the process: identity, signals, futexes, limits, and the end.

use nix::errno::Errno;
use nix::libc;

use super::super::{Arrival, CallEffect, RefusedProcess, StartSignals, Stop};
use super::{Machine, int};

const ABORT: u8 = 6;

#[test]
fn a_program_ends_with_the_low_byte_of_its_code() {
    let mut machine = Machine::new();
    assert_eq!(
        machine.outcome(libc::SYS_exit_group, &[int(-1)]),
        CallEffect::Exit(255)
    );
    assert_eq!(
        machine.outcome(libc::SYS_exit, &[0x1_0003]),
        CallEffect::Exit(3)
    );
}

#[test]
fn a_second_process_or_another_program_is_refused_and_remembered() {
    // What the C library's fork, posix_spawn and vfork ask for; and a thread.
    let fork = int(libc::CLONE_CHILD_SETTID | libc::CLONE_CHILD_CLEARTID | libc::SIGCHLD);
    let spawn = int(libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD);
    let thread = int(libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD);
    for (number, flags, refused) in [
        (libc::SYS_clone, fork, Some(RefusedProcess::Fork)),
        (libc::SYS_clone, spawn, Some(RefusedProcess::Fork)),
        (libc::SYS_fork, 0, Some(RefusedProcess::Fork)),
        (libc::SYS_vfork, 0, Some(RefusedProcess::Fork)),
        (libc::SYS_execve, 0, Some(RefusedProcess::Exec)),
        (libc::SYS_execveat, 0, Some(RefusedProcess::Exec)),
        (libc::SYS_clone, thread, None),
        (libc::SYS_getpid, 0, None),
    ] {
        let mut machine = Machine::new();
        let outcome = machine.outcome(number, &[flags]);
        let enosys = CallEffect::Return(-i64::from(libc::ENOSYS));
        assert_eq!(outcome == enosys, refused.is_some(), "{number} {flags:#x}");
        assert_eq!(machine.personality.refused_process(), refused);
    }
    let mut machine = Machine::new();
    let _ = machine.call(libc::SYS_fork, &[]);
    let _ = machine.call(libc::SYS_execve, &[]);
    let first = machine.personality.refused_process();
    assert_eq!(first, Some(RefusedProcess::Fork));
}

#[test]
fn unknown_calls_are_not_implemented() {
    let mut machine = Machine::new();
    for number in [
        libc::SYS_clone,
        libc::SYS_rseq,
        libc::SYS_io_uring_setup,
        999,
        i64::MAX,
        -1,
    ] {
        assert_eq!(machine.call(number, &[]), Err(Errno::ENOSYS));
    }
}

#[test]
fn segment_bases_stay_in_the_user_half() {
    let mut machine = Machine::new();
    let data = machine.data;
    let (set, get) = (0x1002, 0x1003);
    assert_eq!(
        machine.outcome(libc::SYS_arch_prctl, &[set, data]),
        CallEffect::SetFsBase(data)
    );
    assert_eq!(machine.call(libc::SYS_arch_prctl, &[get, data]), Ok(0));
    assert_eq!(machine.word(0), data);
    assert_eq!(
        machine.call(libc::SYS_arch_prctl, &[set, 1 << 63]),
        Err(Errno::EPERM)
    );
    assert_eq!(
        machine.call(libc::SYS_arch_prctl, &[0x3001, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn abort_kills_as_the_c_library_does_it() {
    let mut machine = Machine::new();
    let own = machine.call(libc::SYS_getpid, &[]).unwrap();
    assert_eq!(machine.call(libc::SYS_gettid, &[]), Ok(own));
    // As older C libraries do, the test blocks every signal around tgkill.
    let all = machine.put(0, &u64::MAX.to_le_bytes());
    let old = machine.put(8, &[0; 8]);
    assert_eq!(
        machine.call(
            libc::SYS_rt_sigprocmask,
            &[int(libc::SIG_BLOCK), all, old, 8]
        ),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_tgkill, &[own, own, u64::from(ABORT)]),
        Ok(0)
    );
    assert_eq!(machine.call(libc::SYS_rt_sigpending, &[all, 8]), Ok(0));
    assert_eq!(machine.word(0), 1 << (ABORT - 1));
    let unblocked = machine.outcome(
        libc::SYS_rt_sigprocmask,
        &[int(libc::SIG_SETMASK), old, 0, 8],
    );
    assert_eq!(unblocked, CallEffect::Signal(ABORT));
}

#[test]
fn a_program_finds_the_signals_that_it_starts_with() {
    let mut machine = Machine::new();
    machine.personality = machine.personality.with_signals(StartSignals {
        ignored: 1 << 12,
        blocked: 1 << 11 | 1 << 8,
    });
    let old = machine.data;
    machine
        .call(libc::SYS_rt_sigaction, &[13, 0, old, 8])
        .unwrap();
    assert_eq!(machine.word(0), 1);
    machine
        .call(libc::SYS_rt_sigaction, &[12, 0, old, 8])
        .unwrap();
    assert_eq!(machine.word(0), 0);
    // Nobody can block SIGKILL.
    machine
        .call(libc::SYS_rt_sigprocmask, &[0, 0, old, 8])
        .unwrap();
    assert_eq!(machine.word(0), 1 << 11);
}

#[test]
fn signals_keep_their_dispositions() {
    let mut machine = Machine::new();
    let own = machine.call(libc::SYS_getpid, &[]).unwrap();
    let action = machine.put(0, &[0x1234_u64, 4, 5, 6].map(u64::to_le_bytes).concat());
    let old = machine.put(100, &[9; 32]);
    let user = int(libc::SIGUSR1);
    assert_eq!(
        machine.call(libc::SYS_rt_sigaction, &[user, action, old, 8]),
        Ok(0)
    );
    assert_eq!(machine.bytes(100, 32), [0; 32]);
    assert_eq!(
        machine.call(libc::SYS_rt_sigaction, &[user, 0, old, 8]),
        Ok(0)
    );
    assert_eq!(machine.bytes(100, 32), machine.bytes(0, 32));
    assert_eq!(machine.call(libc::SYS_kill, &[own, user]), Ok(0));
    let Some(Arrival::Runs(delivery)) = machine.personality.next_arrival() else {
        panic!("no handler runs");
    };
    assert_eq!(
        (delivery.info.signal(), delivery.action.handler),
        (libc::SIGUSR1, 0x1234)
    );
    // The handler runs with its own mask, and with its own signal blocked.
    assert_eq!(machine.personality.next_arrival(), None);
    assert_eq!(machine.personality.signal_sets().blocked, 6 | 1 << 9);
    assert_eq!(
        machine.call(libc::SYS_kill, &[own, int(libc::SIGCHLD)]),
        Ok(0)
    );
    assert_eq!(machine.call(libc::SYS_kill, &[own, 0]), Ok(0));
    assert_eq!(machine.call(libc::SYS_kill, &[own, 65]), Err(Errno::EINVAL));
    assert_eq!(machine.call(libc::SYS_kill, &[77, 9]), Err(Errno::ESRCH));
    assert_eq!(
        machine.call(libc::SYS_tgkill, &[own, 77, 9]),
        Err(Errno::ESRCH)
    );
    assert_eq!(
        machine.outcome(libc::SYS_kill, &[own, 9]),
        CallEffect::Signal(9)
    );
    assert_eq!(
        machine.call(libc::SYS_rt_sigaction, &[9, action, 0, 8]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_rt_sigaction, &[user, action, 0, 4]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn an_alternate_stack_is_remembered() {
    let mut machine = Machine::new();
    let old = machine.put(100, &[9; 24]);
    let stack = machine.put(0, &[0x7000_u64, 0, 8192].map(u64::to_le_bytes).concat());
    assert_eq!(machine.call(libc::SYS_sigaltstack, &[stack, old]), Ok(0));
    assert_eq!(machine.word(108), 2);
    assert_eq!(machine.call(libc::SYS_sigaltstack, &[0, old]), Ok(0));
    assert_eq!(machine.bytes(100, 24), machine.bytes(0, 24));
    machine.put(16, &100_u64.to_le_bytes());
    assert_eq!(
        machine.call(libc::SYS_sigaltstack, &[stack, 0]),
        Err(Errno::ENOMEM)
    );
    machine.put(8, &2_u64.to_le_bytes());
    assert_eq!(machine.call(libc::SYS_sigaltstack, &[stack, 0]), Ok(0));
}

#[test]
fn the_only_thread_waits_for_a_time_and_never_for_a_wake_up() {
    let mut machine = Machine::new();
    let at = machine.put(0, &5_u64.to_le_bytes());
    let soon = machine.put(16, &[0_u64, 1000].map(u64::to_le_bytes).concat());
    let (wait, wake) = (int(libc::FUTEX_WAIT | 128), int(libc::FUTEX_WAKE | 128));
    assert_eq!(machine.call(libc::SYS_futex, &[at, wake, 1]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_futex, &[at, wait, 4, 0]),
        Err(Errno::EAGAIN)
    );
    assert_eq!(
        machine.call(libc::SYS_futex, &[at, wait, 5, soon]),
        Err(Errno::ETIMEDOUT)
    );
    assert_eq!(
        machine.outcome(libc::SYS_futex, &[at, wait, 5, 0]),
        CallEffect::Wait
    );
    assert_eq!(machine.next_thread(), Err(Stop::Deadlock));
    let mut machine = Machine::new();
    let at = machine.put(0, &5_u64.to_le_bytes());
    let soon = machine.put(16, &[0_u64, 1000].map(u64::to_le_bytes).concat());
    let bitset = int(libc::FUTEX_WAIT_BITSET);
    assert_eq!(
        machine.call(libc::SYS_futex, &[at, bitset, 5, soon, 0, 1]),
        Err(Errno::ETIMEDOUT)
    );
    assert_eq!(
        machine.call(libc::SYS_futex, &[at, bitset, 5, soon, 0, 0]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_futex, &[at + 1, wait, 5, soon]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_futex, &[8, wait, 5, soon]),
        Err(Errno::EFAULT)
    );
}

#[test]
fn the_system_describes_itself() {
    let mut machine = Machine::new();
    let data = machine.data;
    assert_eq!(machine.call(libc::SYS_uname, &[data]), Ok(0));
    assert_eq!(machine.bytes(0, 6), b"Linux\0");
    assert_eq!(machine.bytes(4 * 65, 7), b"x86_64\0");
    assert_eq!(machine.call(libc::SYS_sysinfo, &[data]), Ok(0));
    assert_eq!(machine.word(32), 16 << 20);
    assert_eq!(machine.call(libc::SYS_prlimit64, &[0, 3, 0, data]), Ok(0));
    assert_eq!(machine.word(0), 8 << 20);
    assert_eq!(
        machine.call(libc::SYS_prlimit64, &[0, 16, 0, data]),
        Err(Errno::EINVAL)
    );
    assert_eq!(
        machine.call(libc::SYS_prlimit64, &[0, 3, data, 0]),
        Err(Errno::EPERM)
    );
    assert_eq!(
        machine.call(libc::SYS_sched_getaffinity, &[0, 128, data]),
        Ok(8)
    );
    assert_eq!(machine.word(0), 1);
    assert_eq!(
        machine.call(libc::SYS_sched_getaffinity, &[0, 7, data]),
        Err(Errno::EINVAL)
    );
    let name = machine.put(64, b"a name that is much too long\0");
    assert_eq!(
        machine.call(libc::SYS_prctl, &[int(libc::PR_SET_NAME), name]),
        Ok(0)
    );
    assert_eq!(
        machine.call(libc::SYS_prctl, &[int(libc::PR_GET_NAME), data]),
        Ok(0)
    );
    assert_eq!(machine.bytes(0, 16), b"a name that is \0");
}

#[test]
fn priorities_are_taken_and_change_nothing() {
    let mut machine = Machine::new();
    let parameter = machine.put(0, &7_u64.to_le_bytes());
    let fifo = int(libc::SCHED_FIFO);
    assert_eq!(
        machine.call(libc::SYS_sched_setscheduler, &[0, fifo, parameter]),
        Ok(0)
    );
    assert_eq!(machine.call(libc::SYS_sched_getscheduler, &[0]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_sched_getparam, &[0, parameter]),
        Ok(0)
    );
    assert_eq!(machine.bytes(0, 4), [0; 4]);
    assert_eq!(
        machine.call(libc::SYS_sched_get_priority_max, &[fifo]),
        Ok(99)
    );
    assert_eq!(machine.call(libc::SYS_sched_get_priority_max, &[0]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_sched_get_priority_max, &[77]),
        Err(Errno::EINVAL)
    );
    assert_eq!(machine.call(libc::SYS_getpriority, &[0, 0]), Ok(20));
    let known = machine.call(libc::SYS_membarrier, &[0, 0]).unwrap();
    assert_eq!(known & 8, 8, "private barriers");
    assert_eq!(machine.call(libc::SYS_membarrier, &[8, 0]), Ok(0));
    assert_eq!(
        machine.call(libc::SYS_membarrier, &[1 << 20, 0]),
        Err(Errno::EINVAL)
    );
}

#[test]
fn a_timer_expires_while_the_last_thread_that_ran_is_gone() {
    let mut machine = Machine::new();
    let thread = int(libc::CLONE_VM | libc::CLONE_SIGHAND | libc::CLONE_THREAD);
    let started = machine.outcome(libc::SYS_clone, &[thread]);
    assert!(matches!(started, CallEffect::NewThread(_)));
    let soon = machine.put(0, &[0_u64, 0, 0, 1000].map(u64::to_le_bytes).concat());
    assert_eq!(machine.call(libc::SYS_setitimer, &[0, soon, 0]), Ok(0));
    assert_eq!(machine.outcome(libc::SYS_pause, &[]), CallEffect::Wait);
    machine.next_thread().expect("the other thread");
    assert_eq!(machine.outcome(libc::SYS_exit, &[0]), CallEffect::EndThread);
    assert_eq!(machine.next_thread(), Err(Stop::Killed(14)));
}
