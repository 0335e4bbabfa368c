//! The meaning of the arguments of common system calls, for `--trace`.

use nix::libc::{self, c_int, c_long};

/// Values and their names: bits that can be combined, or values of which one is chosen.
pub(super) type Names = &'static [(c_int, &'static str)];

/// The meaning of one argument.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A descriptor or another `int`.
    Int,
    /// The descriptor of the directory from which a path starts.
    Directory,
    /// A `long`, such as an offset.
    Long,
    /// A size or a count.
    Size,
    /// An address, or any other number in hexadecimal.
    Hex,
    /// Permission bits.
    Octal,
    /// The address of a path.
    Path,
    /// The address of data that the program passes. The next argument is the length.
    Data,
    /// One of several values.
    One(Names),
    /// A combination of bits.
    Bits(Names),
    /// The flags of `open`: an access mode, and bits.
    Opening,
    /// A signal.
    Signal,
}

use Kind::{Bits, Data, Directory, Hex, Int, Long, Octal, One, Opening, Path, Signal, Size};

macro_rules! names {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

pub(super) const OPENING: Names = names!(O_CREAT O_EXCL O_NOCTTY O_TRUNC O_APPEND O_NONBLOCK O_SYNC O_DSYNC
    O_DIRECT O_TMPFILE O_DIRECTORY O_NOFOLLOW O_NOATIME O_CLOEXEC O_PATH);
const PROTECTION: Names = names!(PROT_READ PROT_WRITE PROT_EXEC);
const MAPPING: Names = names!(MAP_SHARED MAP_PRIVATE MAP_FIXED_NOREPLACE MAP_FIXED MAP_ANONYMOUS MAP_32BIT
    MAP_GROWSDOWN MAP_NORESERVE MAP_POPULATE MAP_STACK MAP_HUGETLB);
const MOVING: Names = names!(MREMAP_MAYMOVE MREMAP_FIXED MREMAP_DONTUNMAP);
const ADVICE: Names = names!(MADV_NORMAL MADV_RANDOM MADV_SEQUENTIAL MADV_WILLNEED MADV_DONTNEED MADV_FREE
    MADV_HUGEPAGE MADV_NOHUGEPAGE MADV_DONTDUMP MADV_DODUMP);
const WHENCE: Names = names!(SEEK_SET SEEK_CUR SEEK_END SEEK_DATA SEEK_HOLE);
const CLOCK: Names = names!(CLOCK_REALTIME CLOCK_MONOTONIC CLOCK_PROCESS_CPUTIME_ID CLOCK_THREAD_CPUTIME_ID
    CLOCK_MONOTONIC_RAW CLOCK_REALTIME_COARSE CLOCK_MONOTONIC_COARSE CLOCK_BOOTTIME CLOCK_TAI);
const SLEEPING: Names = names!(TIMER_ABSTIME);
const ACCESS: Names = names!(R_OK W_OK X_OK);
const AT: Names = names!(AT_SYMLINK_NOFOLLOW AT_EMPTY_PATH AT_NO_AUTOMOUNT);
const RANDOM: Names = &[(1, "GRND_NONBLOCK"), (2, "GRND_RANDOM")];
const CONTROL: Names = names!(F_DUPFD F_GETFD F_SETFD F_GETFL F_SETFL F_DUPFD_CLOEXEC);
const MASKING: Names = names!(SIG_BLOCK SIG_UNBLOCK SIG_SETMASK);
const RESOURCE: Names = &[
    (0, "RLIMIT_CPU"),
    (1, "RLIMIT_FSIZE"),
    (2, "RLIMIT_DATA"),
    (3, "RLIMIT_STACK"),
    (4, "RLIMIT_CORE"),
    (5, "RLIMIT_RSS"),
    (6, "RLIMIT_NPROC"),
    (7, "RLIMIT_NOFILE"),
    (8, "RLIMIT_MEMLOCK"),
    (9, "RLIMIT_AS"),
];
const SEGMENT: Names = &[
    (0x1001, "ARCH_SET_GS"),
    (0x1002, "ARCH_SET_FS"),
    (0x1003, "ARCH_GET_FS"),
    (0x1004, "ARCH_GET_GS"),
];
const FUTEX: Names = &[
    (libc::FUTEX_WAIT, "FUTEX_WAIT"),
    (libc::FUTEX_WAKE, "FUTEX_WAKE"),
    (
        libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
        "FUTEX_WAIT_PRIVATE",
    ),
    (
        libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
        "FUTEX_WAKE_PRIVATE",
    ),
    (
        libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,
        "FUTEX_WAIT_BITSET_PRIVATE",
    ),
];

/// The meanings of a call's arguments. A call that is not listed has six in hexadecimal.
pub(super) fn arguments(number: c_long) -> &'static [Kind] {
    match number {
        libc::SYS_read | libc::SYS_getdents64 => &[Int, Hex, Size],
        libc::SYS_write => &[Int, Data, Size],
        libc::SYS_pread64 => &[Int, Hex, Size, Long],
        libc::SYS_pwrite64 => &[Int, Data, Size, Long],
        libc::SYS_readv | libc::SYS_writev => &[Int, Hex, Int],
        libc::SYS_preadv | libc::SYS_pwritev => &[Int, Hex, Int, Long],
        libc::SYS_open => &[Path, Opening, Octal],
        libc::SYS_openat => &[Directory, Path, Opening, Octal],
        libc::SYS_close
        | libc::SYS_fsync
        | libc::SYS_fdatasync
        | libc::SYS_dup
        | libc::SYS_fchdir => &[Int],
        libc::SYS_dup2 => &[Int, Int],
        libc::SYS_dup3 => &[Int, Int, Opening],
        libc::SYS_lseek => &[Int, Long, One(WHENCE)],
        libc::SYS_fcntl => &[Int, One(CONTROL), Hex],
        libc::SYS_ioctl => &[Int, Hex, Hex],
        libc::SYS_fstat => &[Int, Hex],
        libc::SYS_stat | libc::SYS_lstat => &[Path, Hex],
        libc::SYS_newfstatat => &[Directory, Path, Hex, Bits(AT)],
        libc::SYS_statx => &[Directory, Path, Bits(AT), Hex, Hex],
        libc::SYS_access => &[Path, Bits(ACCESS)],
        libc::SYS_faccessat => &[Directory, Path, Bits(ACCESS)],
        libc::SYS_faccessat2 => &[Directory, Path, Bits(ACCESS), Bits(AT)],
        libc::SYS_readlink => &[Path, Hex, Size],
        libc::SYS_readlinkat => &[Directory, Path, Hex, Size],
        libc::SYS_chdir | libc::SYS_rmdir | libc::SYS_unlink => &[Path],
        libc::SYS_mkdir | libc::SYS_chmod => &[Path, Octal],
        libc::SYS_mkdirat => &[Directory, Path, Octal],
        libc::SYS_unlinkat => &[Directory, Path, Hex],
        libc::SYS_rename => &[Path, Path],
        libc::SYS_getcwd => &[Hex, Size],
        libc::SYS_execve => &[Path, Hex, Hex],
        libc::SYS_poll => &[Hex, Size, Int],
        libc::SYS_ppoll => &[Hex, Size, Hex, Hex],
        _ => arguments_without_files(number),
    }
}

fn arguments_without_files(number: c_long) -> &'static [Kind] {
    match number {
        libc::SYS_brk
        | libc::SYS_set_tid_address
        | libc::SYS_uname
        | libc::SYS_sysinfo
        | libc::SYS_time => &[Hex],
        libc::SYS_mmap => &[Hex, Size, Bits(PROTECTION), Bits(MAPPING), Int, Long],
        libc::SYS_munmap | libc::SYS_set_robust_list => &[Hex, Size],
        libc::SYS_mprotect => &[Hex, Size, Bits(PROTECTION)],
        libc::SYS_mremap => &[Hex, Size, Size, Bits(MOVING)],
        libc::SYS_madvise => &[Hex, Size, One(ADVICE)],
        libc::SYS_clock_gettime | libc::SYS_clock_getres => &[One(CLOCK), Hex],
        libc::SYS_clock_nanosleep => &[One(CLOCK), Bits(SLEEPING), Hex, Hex],
        libc::SYS_nanosleep | libc::SYS_gettimeofday | libc::SYS_sigaltstack => &[Hex, Hex],
        libc::SYS_rt_sigaction => &[Signal, Hex, Hex, Size],
        libc::SYS_rt_sigprocmask => &[One(MASKING), Hex, Hex, Size],
        libc::SYS_kill | libc::SYS_tkill => &[Int, Signal],
        libc::SYS_tgkill => &[Int, Int, Signal],
        libc::SYS_getrandom => &[Hex, Size, Bits(RANDOM)],
        libc::SYS_arch_prctl => &[One(SEGMENT), Hex],
        libc::SYS_prlimit64 => &[Int, One(RESOURCE), Hex, Hex],
        libc::SYS_getrlimit => &[One(RESOURCE), Hex],
        libc::SYS_futex => &[Hex, One(FUTEX), Int, Hex],
        libc::SYS_sched_getaffinity => &[Int, Size, Hex],
        libc::SYS_prctl => &[Int, Hex],
        libc::SYS_exit | libc::SYS_exit_group => &[Int],
        libc::SYS_getpid
        | libc::SYS_gettid
        | libc::SYS_getppid
        | libc::SYS_getuid
        | libc::SYS_geteuid
        | libc::SYS_getgid
        | libc::SYS_getegid
        | libc::SYS_sched_yield
        | libc::SYS_pause
        | libc::SYS_sync => &[],
        _ => &[Hex; 6],
    }
}
