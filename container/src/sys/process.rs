//! Processes: clone3, a vfork-like clone, execve, identity, capabilities.

#![expect(
    unsafe_code,
    reason = "clone, execve and credential calls have no safe wrapper that may run between clone and exec"
)]

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::checked;

/// `struct clone_args` of clone3(2), as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Where `CLONE_INTO_CGROUP` is in clone3's flags (linux/sched.h); it does not fit a `c_int`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// On which side of a clone the caller is.
#[derive(Debug)]
pub enum Cloned {
    /// The new process.
    Child,
    /// The caller; the process made is this.
    Parent(Pid),
}

/// clone3(2) as a fork: the child gets a copy of the caller's memory, in new namespaces, born in `cgroup` if given.
///
/// In the child of a process with several threads only async-signal-safe functions may be called until `execve`.
pub fn clone_into(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> nix::Result<Cloned> {
    let mut arguments = CloneArgs {
        flags: namespaces,
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd().unsigned_abs().into();
    }
    // SAFETY: without CLONE_VM and a stack this is fork: the child continues on its own copy of this stack, and the
    // structure is ours, initialised and of the size named.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<CloneArgs>(),
        )
    };
    match checked(result)? {
        0 => Ok(Cloned::Child),
        pid => Ok(Cloned::Parent(Pid::from_raw(
            pid_t(pid).ok_or(Errno::EOVERFLOW)?,
        ))),
    }
}

fn pid_t(value: libc::c_long) -> Option<libc::pid_t> {
    libc::pid_t::try_from(value).ok()
}

/// Bytes of stack for a child that shares our memory. It formats one phase mark and calls `execve`.
const STACK_BYTES: usize = 32 * 1024;

/// A stack for [`Stack::run`], made before the clone because nothing may be allocated after it.
pub struct Stack {
    bytes: Vec<u8>,
}

impl Stack {
    /// Reserves a stack; its pages cost nothing until they are used.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; STACK_BYTES],
        }
    }

    /// Runs `program` in a child that borrows our memory until it calls `execve` or ends, as vfork(2) does:
    /// the caller is suspended meanwhile, and no page table is copied.
    pub fn run<F: FnMut() -> c_int>(&mut self, mut program: F) -> nix::Result<Pid> {
        extern "C" fn enter<F: FnMut() -> c_int>(program: *mut c_void) -> c_int {
            // SAFETY: `program` is the `&mut F` below, alive and unused elsewhere while its owner is suspended.
            let program = unsafe { &mut *program.cast::<F>() };
            program()
        }
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let top = self.bytes.as_mut_ptr_range().end;
        // SAFETY: the child runs `enter` on a stack of its own, 16-aligned by glibc's wrapper; CLONE_VFORK suspends us
        // until it has left our memory, so `program` and the stack outlive it. `enter` never unwinds (panic = abort
        // in release, and an `extern "C"` function aborts on unwinding).
        let result = unsafe {
            libc::clone(
                enter::<F>,
                top.cast::<c_void>(),
                flags,
                (&raw mut program).cast::<c_void>(),
            )
        };
        checked(result.into())?;
        Ok(Pid::from_raw(result))
    }
}

/// A list of strings in the form `execve` takes, made before the clone.
pub struct ExecList {
    /// Points into `strings`, and ends with a null pointer.
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl ExecList {
    /// Prepares `strings`.
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(ptr::null());
        Self {
            pointers,
            _strings: strings,
        }
    }
}

/// execve(2). Returns only on failure.
pub fn execute(
    program: &CStr,
    arguments: &ExecList,
    environment: &ExecList,
) -> nix::Result<Infallible> {
    // SAFETY: all three are null-terminated, and both lists own what they point at.
    unsafe {
        libc::execve(
            program.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        );
    }
    Err(Errno::last())
}

/// _exit(2): ends the process without running anything of its parent's.
pub fn exit(code: c_int) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}

/// Reaps one child that has ended, if there is one: its id and wait status.
///
/// nix's `waitpid` refuses the status of a process that a real-time signal killed, after it has reaped it.
pub fn reap_any() -> Option<(Pid, c_int)> {
    let mut status = 0;
    // SAFETY: the status is ours.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG) };
    (pid > 0).then(|| (Pid::from_raw(pid), status))
}

/// Whether `pid`, a child, has ended and waits to be reaped.
pub fn has_ended(pid: Pid) -> nix::Result<bool> {
    // SAFETY: siginfo_t is plain data, for which zero is a valid value.
    let mut information: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let id = pid.as_raw().unsigned_abs();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the structure is ours.
    checked(unsafe { libc::waitid(libc::P_PID, id, &raw mut information, options) }.into())?;
    // SAFETY: waitid fills in this field, or leaves it zero when nothing has ended.
    Ok(unsafe { information.si_pid() } != 0)
}

/// Waits until `pid`, a child, has ended, and reaps it: its wait status.
pub fn wait_for(pid: Pid) -> nix::Result<c_int> {
    let mut status = 0;
    loop {
        // SAFETY: the status is ours.
        match checked(unsafe { libc::waitpid(pid.as_raw(), &raw mut status, 0) }.into()) {
            Ok(_) => return Ok(status),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Becomes this user and group of the user namespace, with these further groups and no other.
///
/// Raw system calls: glibc's functions of these names would signal the threads of the process that we were cloned from.
pub fn become_user(uid: libc::uid_t, gid: libc::gid_t, groups: &[libc::gid_t]) -> nix::Result<()> {
    // SAFETY: plain integers, and a list with its length.
    unsafe {
        checked(libc::syscall(
            libc::SYS_setgroups,
            groups.len(),
            groups.as_ptr(),
        ))?;
        checked(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        checked(libc::syscall(libc::SYS_setresuid, uid, uid, uid))?;
    }
    Ok(())
}

/// Takes capability `number` out of the bounding set; `EINVAL` when the kernel has none of that number.
pub fn drop_bounding(number: libc::c_ulong) -> nix::Result<()> {
    // SAFETY: plain integers.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
    checked(result.into()).map(drop)
}

/// Empties the ambient set.
pub fn clear_ambient() -> nix::Result<()> {
    // SAFETY: plain integers.
    let result = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    };
    checked(result.into()).map(drop)
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CapabilitySets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3` (linux/capability.h): sets of 64 bits.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// Empties the effective, permitted and inheritable sets.
pub fn clear_capabilities() -> nix::Result<()> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let none = [CapabilitySets::default(); 2];
    // SAFETY: both structures are as capset(2) wants them for version 3.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) };
    checked(result).map(drop)
}

/// The effective capabilities of this process, as a mask.
pub fn effective_capabilities() -> nix::Result<u64> {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    let mut sets = [CapabilitySets::default(); 2];
    // SAFETY: both structures are as capget(2) wants them for version 3.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw const header, sets.as_mut_ptr()) };
    checked(result)?;
    Ok(u64::from(sets[0].effective) | u64::from(sets[1].effective) << 32)
}

/// What `close_range(2)` does with the descriptors from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseRange {
    /// Closes them now.
    Now,
    /// Has `execve` close them.
    OnExec,
}

/// Closes all descriptors from `first` on.
pub fn close_from(first: c_int, when: CloseRange) -> nix::Result<()> {
    let flags = match when {
        CloseRange::Now => 0,
        CloseRange::OnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: plain integers. The descriptors closed are never used again by the callers: the child of a clone, which
    // owns only what it was told to keep.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    checked(result).map(drop)
}

/// Whether the working directory is below this process's root. A path such as /proc/self/fd/N leads out of it while
/// a directory of the host's is open, and from there `..` leads anywhere.
pub fn is_inside_root() -> nix::Result<bool> {
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer is ours and of the size named. Raw, because glibc's function makes an error of what is asked.
    checked(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    // The kernel says "(unreachable)" before what is elsewhere.
    Ok(path[0] == b'/')
}

/// Closes every descriptor but the three standard ones and `kept`, which it returns under its new number, 3.
pub fn keep_only(kept: BorrowedFd<'_>) -> nix::Result<BorrowedFd<'static>> {
    const KEPT: c_int = 3;
    if kept.as_raw_fd() != KEPT {
        // SAFETY: plain integers; what was open as 3 is closed, as all others are below.
        checked(unsafe { libc::dup3(kept.as_raw_fd(), KEPT, libc::O_CLOEXEC) }.into())?;
    }
    close_from(KEPT + 1, CloseRange::Now)?;
    // SAFETY: it was opened above and nobody closes it before the process ends.
    Ok(unsafe { BorrowedFd::borrow_raw(KEPT) })
}
