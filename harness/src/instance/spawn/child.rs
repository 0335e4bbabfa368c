//! The child's side of a start: what the parent makes ready before the clock starts, and the code
//! between clone(2) and execve(2), which runs in the parent's memory.

use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, pthread_sigmask, signal};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, chdir, chroot};

use super::{Descriptors, ProcessGroup, SpawnError};
use crate::host::mounts::MountNamespace;
use crate::host::signals;
use crate::instance::command_line::{CommandLine, HostUser, MARKS_DESCRIPTOR, input_descriptor};

/// The strings of a command line, each with the NUL byte that execve(2) needs.
pub struct ExecStrings {
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    root: Option<RootStrings>,
}

/// The paths of a root directory.
pub struct RootStrings {
    directory: CString,
    working_directory: CString,
}

impl ExecStrings {
    /// Copies the strings of `command`.
    ///
    /// # Errors
    /// [`SpawnError::Nul`]
    pub fn new(command: &CommandLine) -> Result<Self, SpawnError> {
        let program = c_string(command.program.as_os_str())?;
        let name = command.name.as_deref();
        let mut arguments = vec![name.map_or_else(|| Ok(program.clone()), c_string)?];
        for argument in &command.arguments {
            arguments.push(c_string(argument)?);
        }
        let environment = command.environment.iter().map(|v| c_string(v));
        let root = command.root.as_ref().map(|root| {
            Ok(RootStrings {
                directory: c_string(root.directory.as_os_str())?,
                working_directory: c_string(root.working_directory.as_os_str())?,
            })
        });
        Ok(Self {
            program,
            arguments,
            environment: environment.collect::<Result<_, _>>()?,
            root: root.transpose()?,
        })
    }

    /// The program's root directory; `None` for the root of its mount namespace.
    pub fn root(&self) -> Option<&RootStrings> {
        self.root.as_ref()
    }

    /// The strings in the form that execve(2) takes.
    pub fn image(&self) -> ExecImage<'_> {
        ExecImage {
            program: &self.program,
            arguments: pointers(&self.arguments),
            environment: pointers(&self.environment),
        }
    }
}

fn c_string(text: &OsStr) -> Result<CString, SpawnError> {
    CString::new(text.as_bytes()).map_err(|e| SpawnError::Nul(OsString::from_vec(e.into_vec())))
}

/// Pointers to `strings`, and a null pointer after them.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let mut all: Vec<_> = strings.iter().map(|s| s.as_ptr()).collect();
    all.push(std::ptr::null());
    all
}

/// The arguments of execve(2): a program, and two arrays that end in a null pointer. The pointers
/// lead into [`ExecStrings`], which are borrowed.
pub struct ExecImage<'s> {
    program: &'s CStr,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
}

impl ExecImage<'_> {
    /// Becomes the program. Returns only if the kernel refuses, with the reason.
    fn exec(&self) -> Errno {
        // SAFETY: both arrays end in a null pointer, and their strings are borrowed by `self`.
        unsafe {
            libc::execve(
                self.program.as_ptr(),
                self.arguments.as_ptr(),
                self.environment.as_ptr(),
            )
        };
        Errno::last()
    }
}

/// What the child gets beside its command line, opened before the clock starts.
pub struct InheritedFiles {
    descriptors: Descriptors,
    input: Option<OwnedFd>,
    input_number: RawFd,
    preserved: Vec<RawFd>,
    mounts: Option<MountNamespace>,
}

impl InheritedFiles {
    /// Opens the input of `command`, and moves all descriptors above the numbers that the child
    /// fills, so that no `dup2` closes a descriptor that is still needed.
    ///
    /// # Errors
    /// [`SpawnError::Descriptor`]
    pub fn new(command: &CommandLine, descriptors: Descriptors) -> Result<Self, SpawnError> {
        let failed = |what, source| SpawnError::Descriptor {
            what,
            program: command.program.clone(),
            source,
        };
        let input_number = input_descriptor(&command.preserved);
        let move_up = |fd: OwnedFd| {
            let number = fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(input_number + 1))
                .map_err(|errno| failed("descriptors", errno))?;
            // SAFETY: F_DUPFD_CLOEXEC has just returned this number, and nothing else knows it.
            Ok::<_, SpawnError>(unsafe { OwnedFd::from_raw_fd(number) })
        };
        let open = |path: &PathBuf| {
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            nix::fcntl::open(path, flags, Mode::empty())
                .map_err(|errno| failed("input file", errno))
        };
        let input = command.input.as_ref().map(open).transpose()?;
        Ok(Self {
            descriptors: Descriptors {
                stdin: move_up(descriptors.stdin)?,
                stdout: move_up(descriptors.stdout)?,
                stderr: move_up(descriptors.stderr)?,
                marks: descriptors.marks.map(move_up).transpose()?,
            },
            input: input.map(move_up).transpose()?,
            input_number,
            preserved: command.preserved.clone(),
            mounts: command.mounts.clone(),
        })
    }
}

impl InheritedFiles {
    /// Keeps the preserved descriptors open across exec.
    fn preserve(&self) -> nix::Result<()> {
        for &number in &self.preserved {
            // SAFETY: the descriptor is borrowed for one call, which fails if it isn't open.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl(descriptor, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    }
}

/// Everything that the child needs to become the program.
pub struct ChildPlan<'s> {
    /// The program to become.
    pub image: ExecImage<'s>,
    /// The child's descriptors and mounts.
    pub files: InheritedFiles,
    /// The program's root directory; `None` for the root of its mount namespace.
    pub root: Option<&'s RootStrings>,
    /// The ids that the program runs with; `None` for the harness's own.
    pub user: Option<&'s HostUser>,
    /// The process group that the child joins or makes.
    pub group: ProcessGroup,
    /// The process id of the harness.
    pub parent: Pid,
    /// The signal mask that the program starts with.
    pub signal_mask: SigSet,
    /// The signal that the child gets when the parent ends.
    pub death_signal: Signal,
}

impl ChildPlan<'_> {
    /// Prepares the calling process and becomes the program. Returns only at a failure.
    ///
    /// # Safety
    /// Only a child that clone(2) has just made may call this function, once, with all signals
    /// blocked: the function replaces low descriptors of its process, whoever owns them.
    /// The child may share its parent's memory, so this function and all that it calls must not
    /// allocate, take a lock or panic.
    pub unsafe fn run(&self) -> ChildFailure {
        // SAFETY: the caller is such a child.
        match unsafe { self.prepare() } {
            Ok(()) => ChildFailure {
                step: ChildStep::Execute,
                errno: self.image.exec(),
            },
            Err(failure) => failure,
        }
    }

    /// Makes all that the program finds when it starts, apart from its memory.
    ///
    /// # Safety
    /// As [`ChildPlan::run`].
    unsafe fn prepare(&self) -> Result<(), ChildFailure> {
        // SAFETY: the caller is a new child, as this function asks for.
        unsafe { self.leave_parent() }.map_err(ChildFailure::at(ChildStep::Execute))?;
        if let Some(root) = self.root {
            enter_root(root).map_err(ChildFailure::at(ChildStep::Root))?;
        }
        if let Some(user) = self.user {
            self.become_user(user)
                .map_err(ChildFailure::at(ChildStep::User))?;
        }
        pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.signal_mask), None)
            .map_err(ChildFailure::at(ChildStep::Execute))
    }

    /// Takes the child out of the parent's process group, mounts, descriptors and dispositions.
    ///
    /// # Safety
    /// As [`ChildPlan::run`].
    unsafe fn leave_parent(&self) -> nix::Result<()> {
        self.die_with_parent()?;
        if self.group == ProcessGroup::Own {
            nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0))?;
        }
        if let Some(mounts) = &self.files.mounts {
            mounts.enter()?;
        }
        close_all_at_exec()?;
        self.files.preserve()?;
        // SAFETY: the caller is a new child, whose descriptor table nobody else uses.
        unsafe { self.fill_descriptors() }?;
        restore_actions()
    }

    /// Asks the kernel to signal this process when the parent ends.
    fn die_with_parent(&self) -> nix::Result<()> {
        nix::sys::prctl::set_pdeathsig(self.death_signal)?;
        if Pid::parent() == self.parent {
            Ok(())
        } else {
            // The harness ended before the kernel knew of the wish: no signal will come.
            Err(Errno::ESRCH)
        }
    }

    /// Becomes `user`. The change undoes the wish to die with the parent (prctl(2)), so the wish is
    /// made again.
    fn become_user(&self, user: &HostUser) -> nix::Result<()> {
        set_ids(user)?;
        self.die_with_parent()
    }

    /// Puts the program's descriptors at 0 to 3, and its input at its number.
    ///
    /// # Safety
    /// The process must use none of these numbers for anything else.
    unsafe fn fill_descriptors(&self) -> nix::Result<()> {
        let descriptors = &self.files.descriptors;
        let wanted = [
            (0, Some(&descriptors.stdin)),
            (1, Some(&descriptors.stdout)),
            (2, Some(&descriptors.stderr)),
            (MARKS_DESCRIPTOR, descriptors.marks.as_ref()),
            (self.files.input_number, self.files.input.as_ref()),
        ];
        for (number, descriptor) in wanted {
            if let Some(descriptor) = descriptor {
                // SAFETY: the caller vouches for these numbers.
                let result = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
                Errno::result(result)?;
            }
        }
        Ok(())
    }
}

/// What the child was doing when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildStep {
    /// Going to the program's root and working directory.
    Root,
    /// Becoming the program's user.
    User,
    /// Anything else, up to execve(2).
    Execute,
}

/// Why the child could not become the program.
#[derive(Debug, Clone, Copy)]
pub struct ChildFailure {
    /// What the child was doing.
    pub step: ChildStep,
    /// The kernel's reason.
    pub errno: Errno,
}

impl ChildFailure {
    /// For `map_err`: the failure of `step`.
    fn at(step: ChildStep) -> impl Fn(Errno) -> Self {
        move |errno| Self { step, errno }
    }
}

/// Gives the program the two signals whose actions are another's in this process as the caller of
/// isobench had them: exec passes on what is ignored.
fn restore_actions() -> nix::Result<()> {
    let sigpipe = if signals::sigpipe_was_ignored() {
        SigHandler::SigIgn
    } else {
        SigHandler::SigDfl
    };
    // SAFETY: neither action is a handler.
    unsafe { signal(Signal::SIGPIPE, sigpipe) }?;
    if signals::sigchld_was_ignored() {
        // SAFETY: as above.
        unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// Makes a directory the root of this process, and goes to the working directory inside.
fn enter_root(root: &RootStrings) -> nix::Result<()> {
    chdir(root.directory.as_c_str())?;
    chroot(c".")?;
    chdir(root.working_directory.as_c_str())
}

/// Gives this process, and not the threads that it shares memory with, the ids of `user`. The C
/// library's functions would ask all threads of the parent to take the ids too, so the calls are
/// made without the library. They come in this order because the last one takes the right to the
/// others.
fn set_ids(user: &HostUser) -> nix::Result<()> {
    let (uid, gid) = (user.uid, user.gid);
    // SAFETY: the kernel reads `groups.len()` ids from a list that is borrowed. The other two calls
    // take integers.
    unsafe {
        let groups = user.groups.as_ptr();
        Errno::result(libc::syscall(
            libc::SYS_setgroups,
            user.groups.len(),
            groups,
        ))?;
        Errno::result(libc::syscall(libc::SYS_setresgid, gid, gid, gid))?;
        Errno::result(libc::syscall(libc::SYS_setresuid, uid, uid, uid)).map(drop)
    }
}

/// Has exec close all descriptors that are open now. Among them are those that the harness itself
/// inherited without the close-on-exec flag, such as cargo's job server.
fn close_all_at_exec() -> nix::Result<()> {
    // SAFETY: close_range(2) takes three integers; with this flag it closes nothing before exec.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            0,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    };
    Errno::result(result).map(drop)
}
