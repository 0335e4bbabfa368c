//! Processes: clone3, a clone that borrows memory as vfork does, execve, waiting, users,
//! descriptors.

#![expect(
    unsafe_code,
    reason = "no safe wrapper of clone, execve and close_range may run between clone and exec"
)]

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr;

use nix::errno::Errno;
use nix::unistd::Pid;
use rustix::io::retry_on_intr;
use rustix::process::{Gid, Uid};
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, WaitStatus};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::{checked, errno};

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

/// The flag of clone3 that puts the child into a cgroup (linux/sched.h). A `c_int` cannot hold it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// On which side of a clone the caller is.
#[derive(Debug)]
pub enum Cloned {
    /// The caller is the new process.
    Child,
    /// The caller is the process that was there before; the new one has this id.
    Parent(Pid),
}

/// Makes a process by clone3(2) as fork(2) does: the child gets a copy of the caller's memory. It
/// is born in the new `namespaces` (flags of clone3) and in `cgroup`, if one is given.
///
/// # Safety
/// The child is a copy of the calling thread alone: a lock that another thread held stays taken for
/// good. So the child must not allocate, take a lock or panic before it executes a program or ends,
/// and it must not return to code that does.
pub unsafe fn clone_into(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> nix::Result<Cloned> {
    let mut arguments = CloneArgs {
        flags: namespaces,
        exit_signal: libc::SIGCHLD.unsigned_abs().into(),
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = cgroup.as_raw_fd().unsigned_abs().into();
    }
    // SAFETY: without CLONE_VM and without a stack the child continues on its own copy of this
    // stack, as after fork; the structure is initialised and has the size that the call is told.
    // What the child does is up to the caller.
    let result = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<CloneArgs>(),
        )
    };
    match checked(result)? {
        0 => Ok(Cloned::Child),
        pid => libc::pid_t::try_from(pid)
            .map(|pid| Cloned::Parent(Pid::from_raw(pid)))
            .map_err(|_| Errno::EOVERFLOW),
    }
}

/// Bytes of stack for a child that shares the caller's memory. The child formats one phase mark
/// and calls `execve`.
const STACK_BYTES: usize = 32 * 1024;

/// A stack for [`Stack::run`], made before the clone because nothing may be allocated after it.
pub struct Stack {
    bytes: Vec<u8>,
}

impl Stack {
    /// Reserves a stack. Its pages cost nothing until they are used.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; STACK_BYTES],
        }
    }

    /// Runs `program` in a child that borrows the caller's memory until the child calls `execve`
    /// or ends, as vfork(2) does: the caller is suspended meanwhile, and no page table is copied.
    /// What `program` returns is the child's exit code.
    ///
    /// # Safety
    /// `program` runs in the caller's own memory, as another process. So it must not allocate, take
    /// a lock or panic, and it must get by with 32 KiB of stack.
    pub unsafe fn run<F: FnMut() -> c_int>(&mut self, mut program: F) -> nix::Result<Pid> {
        extern "C" fn enter<F: FnMut() -> c_int>(program: *mut c_void) -> c_int {
            // SAFETY: `program` is the `&mut F` below. It is alive, and nobody else uses it while
            // its owner is suspended.
            let program = unsafe { &mut *program.cast::<F>() };
            program()
        }
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        let top = self.bytes.as_mut_ptr_range().end;
        // SAFETY: the child runs `enter` on a stack of its own, which glibc's wrapper aligns to 16
        // bytes. CLONE_VFORK suspends this process until the child has left its memory, so
        // `program` and the stack outlive the child. `enter` never unwinds: an `extern "C"`
        // function aborts instead.
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

/// A list of strings in the form that `execve` takes, made before the clone.
pub struct ExecList<'s> {
    /// One pointer a string, and a null pointer at the end.
    pointers: Vec<*const c_char>,
    strings: PhantomData<&'s CStr>,
}

impl<'s> ExecList<'s> {
    /// Prepares `strings`.
    pub fn new(strings: &'s [CString]) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(ptr::null());
        Self {
            pointers,
            strings: PhantomData,
        }
    }
}

/// Executes `program`: execve(2). The function returns only if that fails.
pub fn execute(
    program: &CStr,
    arguments: &ExecList<'_>,
    environment: &ExecList<'_>,
) -> nix::Result<Infallible> {
    // SAFETY: the path ends with a zero byte. Both lists end with a null pointer, and borrow the
    // strings that they point to.
    unsafe {
        libc::execve(
            program.as_ptr(),
            arguments.pointers.as_ptr(),
            environment.pointers.as_ptr(),
        );
    }
    Err(Errno::last())
}

/// Ends this process without running anything that the parent has registered for its own end:
/// `_exit(2)`.
pub fn exit(code: c_int) -> ! {
    // SAFETY: the call ends the process and touches no memory.
    unsafe { libc::_exit(code) }
}

/// Gives the id and the wait status of a child that has ended or stopped since the last call, and
/// reaps a child that has ended; `None` if there is no such child.
///
/// nix's `waitpid` fails for a process that a real-time signal killed, after the process is reaped.
pub fn next_change() -> Option<(Pid, WaitStatus)> {
    let (pid, status) =
        rustix::process::wait(WaitOptions::NOHANG | WaitOptions::UNTRACED).ok()??;
    Some((Pid::from_raw(pid.as_raw_nonzero().get()), status))
}

/// Whether the child `pid` has ended and waits to be reaped.
pub fn has_ended(pid: Pid) -> nix::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::process::waitid(WaitId::Pid(child(pid)?), options);
    Ok(status.map_err(errno)?.is_some())
}

/// Waits until the child `pid` has ended, reaps it, and gives its wait status.
pub fn wait_for(pid: Pid) -> nix::Result<WaitStatus> {
    let pid = child(pid)?;
    let ended = retry_on_intr(|| rustix::process::waitpid(Some(pid), WaitOptions::empty()));
    let (_, status) = ended.map_err(errno)?.ok_or(Errno::ECHILD)?;
    Ok(status)
}

/// `pid` for rustix. No child has the id 0, which rustix cannot express.
fn child(pid: Pid) -> nix::Result<rustix::process::Pid> {
    rustix::process::Pid::from_raw(pid.as_raw()).ok_or(Errno::ECHILD)
}

/// A user and groups, in the form that the system calls take, made before the clone.
pub struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    /// User 0 and group 0, without further groups.
    pub const ROOT: Self = Self {
        uid: Uid::ROOT,
        gid: Gid::ROOT,
        groups: Vec::new(),
    };

    /// The user `uid` in the group `gid` and in the further `groups`. No id is `u32::MAX`, which
    /// the system calls take for "leave the id as it is".
    pub fn new(uid: u32, gid: u32, groups: &[u32]) -> Self {
        Self {
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            groups: groups.iter().copied().map(Gid::from_raw).collect(),
        }
    }
}

/// Makes this thread the user and the groups of `identity`, and of no other group.
///
/// The calls are for this thread alone: glibc's functions of these names would signal the threads
/// of the process that this one is a copy of.
pub fn become_user(identity: &Identity) -> nix::Result<()> {
    let Identity { uid, gid, groups } = identity;
    set_thread_groups(groups)
        .and_then(|()| set_thread_res_gid(*gid, *gid, *gid))
        .and_then(|()| set_thread_res_uid(*uid, *uid, *uid))
        .map_err(errno)
}

/// When `close_range(2)` closes descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseRange {
    /// At once.
    Now,
    /// At the next `execve`.
    OnExec,
}

/// Closes all descriptors from `first` on.
///
/// # Safety
/// The calling process must not use these descriptors once they are closed, nor close them again
/// by dropping an owner of them.
pub unsafe fn close_from(first: c_int, when: CloseRange) -> nix::Result<()> {
    let flags = match when {
        CloseRange::Now => 0,
        CloseRange::OnExec => libc::CLOSE_RANGE_CLOEXEC,
    };
    // SAFETY: the call takes plain integers, and the caller has no more use for the descriptors.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, flags) };
    checked(result).map(drop)
}

/// Closes every descriptor but the three standard ones and `kept`, which gets the number 3.
///
/// # Safety
/// The calling process must not use any other descriptor from 3 on any more, nor drop an owner of
/// one.
pub unsafe fn keep_only(kept: BorrowedFd<'_>) -> nix::Result<BorrowedFd<'static>> {
    const KEPT: c_int = 3;
    if kept.as_raw_fd() != KEPT {
        // SAFETY: the call takes plain integers. Whatever was open as 3 is closed, and the caller
        // has no more use for it.
        checked(unsafe { libc::dup3(kept.as_raw_fd(), KEPT, libc::O_CLOEXEC) }.into())?;
    }
    // SAFETY: the caller has no more use for these descriptors.
    unsafe { close_from(KEPT + 1, CloseRange::Now) }?;
    // SAFETY: the descriptor is open, and nobody closes it before the process ends.
    Ok(unsafe { BorrowedFd::borrow_raw(KEPT) })
}

/// Whether the working directory is below this process's root.
///
/// A path such as /proc/self/fd/N leads out of the root while a directory of the host's is open,
/// and from such a directory `..` leads anywhere.
pub fn is_inside_root() -> nix::Result<bool> {
    let mut path = [0_u8; libc::PATH_MAX as usize];
    // SAFETY: the buffer has the size that the call is told. The call is raw because glibc's
    // function fails in the very case that is asked about.
    checked(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    // The kernel puts "(unreachable)" before a path outside of the root.
    Ok(path[0] == b'/')
}
