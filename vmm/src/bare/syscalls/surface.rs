//! All system calls that the guest knows, and how far each goes: the source of `docs/system-calls.md`
//! and of the notes in a trace.

use nix::libc::{self, c_long};

/// How far calls go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// As on Linux, for all that a program within one process can see.
    Whole,
    /// Less than on Linux, in the way that the note says.
    Partly,
    /// Not at all, for the reason that the note gives: `ENOSYS`.
    Refused,
}

impl Extent {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Partly => "partly",
            Self::Refused => "refused",
        }
    }
}

/// Calls that go equally far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    /// The calls' numbers.
    pub calls: &'static [c_long],
    /// How far the calls go.
    pub extent: Extent,
    /// What differs from Linux.
    pub note: &'static str,
}

macro_rules! calls {
    ($($name:ident)*) => { &[$(libc::$name),*] };
}

use Extent::{Partly, Refused, Whole};

/// The groups, in the order of the page.
pub(super) const GROUPS: [Group; 23] = [
    Group {
        calls: calls!(SYS_read SYS_readv SYS_pread64 SYS_preadv SYS_preadv2 SYS_write SYS_writev SYS_pwrite64
            SYS_pwritev SYS_pwritev2 SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_close SYS_close_range SYS_dup SYS_dup2 SYS_dup3 SYS_lseek SYS_getdents64
            SYS_poll SYS_ppoll SYS_select SYS_pselect6),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_open SYS_openat SYS_creat SYS_mkdir SYS_mkdirat SYS_mknod SYS_mknodat
            SYS_link SYS_linkat SYS_symlink SYS_symlinkat SYS_unlink SYS_unlinkat SYS_rmdir
            SYS_rename SYS_renameat SYS_renameat2 SYS_truncate SYS_ftruncate SYS_fallocate
            SYS_chmod SYS_fchmod SYS_fchmodat SYS_chown SYS_fchown SYS_lchown SYS_fchownat
            SYS_utime SYS_utimes SYS_futimesat SYS_utimensat),
        extent: Partly,
        note: "files can be made and changed below `/tmp` and `/dev/shm` alone",
    },
    Group {
        calls: calls!(SYS_stat SYS_lstat SYS_fstat SYS_newfstatat SYS_statx SYS_access SYS_faccessat2
            SYS_faccessat SYS_readlink SYS_readlinkat SYS_getcwd SYS_chdir SYS_fchdir SYS_umask),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_fcntl SYS_ioctl SYS_flock SYS_fadvise64 SYS_readahead),
        extent: Partly,
        note: "`fcntl` duplicates, and reads and sets flags; `ioctl` knows disks, pipes and sockets; locks meet \
               nobody else's",
    },
    Group {
        calls: calls!(SYS_memfd_create SYS_pipe SYS_pipe2 SYS_eventfd SYS_eventfd2 SYS_signalfd
            SYS_signalfd4 SYS_timerfd_create SYS_timerfd_settime SYS_timerfd_gettime),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_socketpair),
        extent: Partly,
        note: "stream sockets",
    },
    Group {
        calls: calls!(SYS_socket SYS_connect SYS_bind SYS_listen SYS_accept SYS_accept4
            SYS_getsockname SYS_getpeername SYS_setsockopt SYS_getsockopt),
        extent: Partly,
        note: "TCP over IPv4, in a guest with a network (`--net`): no UDP, no IPv6, no raw packets, no \
               named sockets of the guest's own",
    },
    Group {
        calls: calls!(SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg SYS_shutdown),
        extent: Partly,
        note: "without control data and urgent bytes",
    },
    Group {
        calls: calls!(SYS_epoll_create SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_wait
            SYS_epoll_pwait SYS_epoll_pwait2),
        extent: Partly,
        note: "a list watches no other list; of a stream of the console, `EPOLLET` tells at each look",
    },
    Group {
        calls: calls!(SYS_brk SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_msync
            SYS_mlock SYS_mlock2 SYS_mlockall SYS_munlock SYS_munlockall),
        extent: Partly,
        note: "a disk can't be mapped; `mremap` takes no address; nothing is ever swapped out",
    },
    Group {
        calls: calls!(SYS_clone SYS_clone3),
        extent: Partly,
        note: "threads",
    },
    Group {
        calls: calls!(SYS_futex),
        extent: Partly,
        note: "all but futexes that lend priority, and waits for several",
    },
    Group {
        calls: calls!(SYS_gettid SYS_set_tid_address SYS_set_robust_list SYS_sched_yield SYS_exit
            SYS_exit_group SYS_arch_prctl SYS_getcpu SYS_membarrier),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_sched_getaffinity SYS_sched_setaffinity SYS_sched_getparam SYS_sched_setparam
            SYS_sched_getscheduler SYS_sched_setscheduler SYS_sched_get_priority_max
            SYS_sched_get_priority_min SYS_getpriority SYS_setpriority),
        extent: Partly,
        note: "checked, and without effect: all threads have the same share of all processors",
    },
    Group {
        calls: calls!(SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigpending SYS_rt_sigreturn
            SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_sigqueueinfo SYS_rt_tgsigqueueinfo
            SYS_sigaltstack SYS_pause),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_kill SYS_tkill SYS_tgkill),
        extent: Partly,
        note: "to the program itself; a signal that would stop the program is refused",
    },
    Group {
        calls: calls!(SYS_nanosleep SYS_clock_nanosleep SYS_clock_gettime SYS_clock_getres
            SYS_gettimeofday SYS_time SYS_alarm SYS_setitimer SYS_getitimer SYS_timer_create
            SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun SYS_timer_delete),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_getpid SYS_getppid SYS_getpgrp SYS_getpgid SYS_getsid SYS_getuid SYS_geteuid
            SYS_getgid SYS_getegid SYS_getgroups SYS_uname SYS_sysinfo SYS_getrandom),
        extent: Whole,
        note: "",
    },
    Group {
        calls: calls!(SYS_getrusage SYS_getrlimit SYS_setrlimit SYS_prlimit64 SYS_prctl SYS_wait4),
        extent: Partly,
        note: "of resources, processor time is known; limits can't be changed; `prctl` knows names; \
               there are no children",
    },
    Group {
        calls: calls!(SYS_fork SYS_vfork SYS_execve SYS_execveat),
        extent: Refused,
        note: "a second process needs a second address space: `microvm-linux` has that",
    },
    Group {
        calls: calls!(SYS_shmget SYS_semget SYS_msgget SYS_mq_open),
        extent: Refused,
        note: "objects that outlive a process are shared with nobody here",
    },
    Group {
        calls: calls!(SYS_rseq SYS_io_uring_setup SYS_userfaultfd SYS_bpf SYS_perf_event_open),
        extent: Refused,
        note: "programs go on without them",
    },
];

/// The group of a call, if the guest knows the call.
pub(super) fn group_of(number: c_long) -> Option<&'static Group> {
    GROUPS.iter().find(|group| group.calls.contains(&number))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::fs;

    use nix::errno::Errno;

    use super::super::CallEffect;
    use super::super::tests::Machine;
    use super::*;

    const PAGE: &str = include_str!("../../../../docs/system-calls.md");
    const MARK: &str = "<!-- from vmm/src/bare/syscalls/surface.rs -->\n";

    fn name(number: c_long) -> &'static str {
        let number = usize::try_from(number).ok();
        number
            .and_then(syscalls::Sysno::new)
            .map_or("?", |known| known.name())
    }

    #[test]
    fn the_page_has_the_table() {
        let mut table = String::from("| calls | extent | differs from Linux |\n|---|---|---|\n");
        for group in GROUPS {
            let mut names: Vec<_> = group.calls.iter().map(|&call| name(call)).collect();
            names.sort_unstable();
            let names = names.join("`, `");
            let extent = group.extent.name();
            writeln!(table, "| `{names}` | {extent} | {} |", group.note).unwrap();
        }
        let (before, shown) = PAGE.split_once(MARK).unwrap();
        let right = format!("{before}{MARK}{table}");
        if shown != table {
            let path = std::env::temp_dir().join("system-calls.md");
            fs::write(&path, right).unwrap();
            panic!(
                "docs/system-calls.md differs from the table: {} is right",
                path.display()
            );
        }
    }

    #[test]
    fn each_call_is_in_one_group() {
        let mut all: Vec<_> = GROUPS.iter().flat_map(|group| group.calls).collect();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn what_is_served_is_in_the_table_and_what_is_refused_is_not_served() {
        for number in 0..470 {
            let mut machine = Machine::new();
            drop((machine.input.take(), machine.output.take()));
            let refused = CallEffect::Return(-i64::from(Errno::ENOSYS as i32));
            // Without flags, `clone` would be a fork.
            let is_clone = number == libc::SYS_clone;
            let is_served = is_clone || machine.outcome(number, &[]) != refused;
            let is_told = group_of(number).is_some_and(|group| group.extent != Refused);
            assert_eq!(is_served, is_told, "{}", name(number));
        }
    }
}
