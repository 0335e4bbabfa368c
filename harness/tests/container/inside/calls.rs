//! Tries system calls that the filter refuses.

use std::arch::asm;
use std::io;

use nix::libc::{self, c_long};

use super::say;

/// Calls that are refused with `EPERM`: those that docker's default profile blocks for a container
/// without capabilities, `io_uring`, and the mount calls that are newer than docker's
/// documentation. `ptrace` and `process_vm_readv` are allowed there and here: since Linux 4.8 they
/// reach only the caller's own processes.
pub const REFUSED: &[(&str, c_long)] = &[
    ("acct", libc::SYS_acct),
    ("add_key", libc::SYS_add_key),
    ("bpf", libc::SYS_bpf),
    ("chroot", libc::SYS_chroot),
    ("clock_adjtime", libc::SYS_clock_adjtime),
    ("clock_settime", libc::SYS_clock_settime),
    ("delete_module", libc::SYS_delete_module),
    ("fanotify_init", libc::SYS_fanotify_init),
    ("finit_module", libc::SYS_finit_module),
    ("fsconfig", libc::SYS_fsconfig),
    ("fsmount", libc::SYS_fsmount),
    ("fsopen", libc::SYS_fsopen),
    ("fspick", libc::SYS_fspick),
    ("get_mempolicy", libc::SYS_get_mempolicy),
    ("init_module", libc::SYS_init_module),
    ("io_uring_enter", libc::SYS_io_uring_enter),
    ("io_uring_register", libc::SYS_io_uring_register),
    ("io_uring_setup", libc::SYS_io_uring_setup),
    ("ioperm", libc::SYS_ioperm),
    ("iopl", libc::SYS_iopl),
    ("kcmp", libc::SYS_kcmp),
    ("kexec_file_load", libc::SYS_kexec_file_load),
    ("kexec_load", libc::SYS_kexec_load),
    ("keyctl", libc::SYS_keyctl),
    ("lookup_dcookie", libc::SYS_lookup_dcookie),
    ("mbind", libc::SYS_mbind),
    ("mount", libc::SYS_mount),
    ("mount_setattr", libc::SYS_mount_setattr),
    ("move_mount", libc::SYS_move_mount),
    ("move_pages", libc::SYS_move_pages),
    ("nfsservctl", libc::SYS_nfsservctl),
    ("open_by_handle_at", libc::SYS_open_by_handle_at),
    ("open_tree", libc::SYS_open_tree),
    ("perf_event_open", libc::SYS_perf_event_open),
    ("pidfd_getfd", libc::SYS_pidfd_getfd),
    ("pivot_root", libc::SYS_pivot_root),
    ("quotactl", libc::SYS_quotactl),
    ("reboot", libc::SYS_reboot),
    ("request_key", libc::SYS_request_key),
    ("set_mempolicy", libc::SYS_set_mempolicy),
    ("setdomainname", libc::SYS_setdomainname),
    ("sethostname", libc::SYS_sethostname),
    ("setns", libc::SYS_setns),
    ("settimeofday", libc::SYS_settimeofday),
    ("swapoff", libc::SYS_swapoff),
    ("swapon", libc::SYS_swapon),
    ("sysfs", libc::SYS_sysfs),
    ("syslog", libc::SYS_syslog),
    ("umount2", libc::SYS_umount2),
    ("unshare", libc::SYS_unshare),
    ("uselib", libc::SYS_uselib),
    ("userfaultfd", libc::SYS_userfaultfd),
    ("ustat", libc::SYS_ustat),
    ("vhangup", libc::SYS_vhangup),
];

/// Bit of the calls of the x32 ABI (asm/unistd.h).
const X32: c_long = 0x4000_0000;

/// Calls that fail with `ENOSYS`, as if the kernel didn't have them: clone3, whose flags no filter
/// can see, the calls of the x32 ABI, which docker allows, and calls that are newer than the
/// filter.
pub const UNKNOWN: &[(&str, c_long)] = &[
    ("clone3", libc::SYS_clone3),
    ("x32 getpid", X32 | libc::SYS_getpid),
    ("x32 mount", X32 | libc::SYS_mount),
    ("500", 500),
    ("the highest", 0x3FFF_FFFF),
];

/// Makes a call with these arguments, and gives its error number, or 0.
fn tried(number: c_long, arguments: [c_long; 3]) -> i32 {
    let null = std::ptr::null::<u8>();
    // SAFETY: each call is refused by the filter, fails with a null argument, or is harmless with
    // what it is given.
    let result =
        unsafe { libc::syscall(number, arguments[0], arguments[1], arguments[2], null, null) };
    if result < 0 {
        io::Error::last_os_error().raw_os_error().unwrap_or(-1)
    } else {
        0
    }
}

/// Reports the error number of each call with zeros for arguments.
pub fn try_all() {
    for (name, number) in REFUSED.iter().chain(UNKNOWN) {
        say(format!("{name} {}", tried(*number, [0; 3])));
    }
}

/// Reports the error numbers of calls that are refused only for some arguments.
pub fn try_arguments() {
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWCGROUP,
    ] {
        let error = tried(libc::SYS_clone, [flag.into(), 0, 0]);
        say(format!("clone {flag:#x} {error}"));
    }
    let (vsock, stream) = (libc::AF_VSOCK.into(), libc::SOCK_STREAM.into());
    say(format!(
        "vsock {}",
        tried(libc::SYS_socket, [vsock, stream, 0])
    ));
    let push_key = libc::TIOCSTI.try_into().unwrap();
    say(format!(
        "TIOCSTI {}",
        tried(libc::SYS_ioctl, [0, push_key, 0])
    ));
    let old_layout = 0x0020_0000;
    say(format!(
        "ADDR_COMPAT_LAYOUT {}",
        tried(libc::SYS_personality, [old_layout, 0, 0])
    ));
}

/// Reports that an ordinary socket and an ordinary query are allowed.
pub fn try_harmless() {
    let (inet, stream) = (libc::AF_INET.into(), libc::SOCK_STREAM.into());
    say(format!(
        "inet {}",
        tried(libc::SYS_socket, [inet, stream, 0])
    ));
    let query = 0xFFFF_FFFF;
    say(format!(
        "personality {}",
        tried(libc::SYS_personality, [query, 0, 0])
    ));
}

/// Makes a system call as 32-bit programs do, by interrupt 0x80: getpid, which has number 20 there.
pub fn enter_by_the_32_bit_gate() {
    let mut result: c_long = 20;
    // SAFETY: the call takes no argument and writes no memory; the gate leaves all registers but
    // RAX and R8 to R11.
    unsafe {
        asm!("int 0x80", inout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    say(format!("came back with {}", i32::try_from(result).is_ok()));
}
