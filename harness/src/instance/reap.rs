#![expect(
    unsafe_code,
    reason = "wait4(2), which neither std nor nix offers, and its two structures"
)]
//! The end of a child process: how the child ended, and how much processor time it took.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The program exited with this code.
    Code(i32),
    /// This signal killed the program.
    Signal(Signal),
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "{signal}"),
        }
    }
}

/// A child that has been waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reaped {
    /// How the child ended.
    pub ending: Ending,
    /// The processor time of all threads of the child, on all CPUs together. The time of those
    /// descendants that their parents have waited for is included (wait4(2)).
    pub cpu_time: CpuTime,
    /// The page faults of the child and of the same descendants.
    pub faults: Faults,
}

/// Page faults (getrusage(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// The faults for which nothing was read from a disk.
    pub minor: u64,
    /// The faults for which a page was read from a disk.
    pub major: u64,
}

/// Processor time by mode. A virtual machine's time on a processor is user time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuTime {
    /// The time in user mode.
    pub user: Duration,
    /// The time in kernel mode.
    pub system: Duration,
}

impl CpuTime {
    /// The time in both modes.
    pub fn sum(self) -> Duration {
        self.user + self.system
    }
}

/// Waits until the child process `pid` has ended.
///
/// # Errors
/// `pid` is no child of this process, or was waited for before.
pub fn reap(pid: Pid) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers lead to local variables, which live through the call.
        let result = unsafe { libc::wait4(pid.as_raw(), &raw mut status, 0, &raw mut usage) };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => {
                return Ok(Reaped {
                    ending: ending(status)?,
                    cpu_time: CpuTime {
                        user: duration(usage.ru_utime),
                        system: duration(usage.ru_stime),
                    },
                    faults: Faults {
                        minor: usage.ru_minflt.unsigned_abs(),
                        major: usage.ru_majflt.unsigned_abs(),
                    },
                });
            }
        }
    }
}

/// What has become of a child since it was last asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The child has ended, and is reaped. The exit code is the one that a shell gives: the child's
    /// own, or 128 + the number of the signal that killed the child.
    Ended(u8),
    /// The signal of this number has stopped the child.
    Stopped(i32),
}

/// The next change of the child process `pid`; `None` if there is none.
///
/// # Errors
/// `pid` is no child of this process, or was waited for before.
pub fn next_change(pid: Pid) -> io::Result<Option<Change>> {
    let mut status = 0;
    let options = libc::WNOHANG | libc::WUNTRACED;
    // SAFETY: the pointer leads to a local variable, which lives through the call.
    let result = unsafe { libc::waitpid(pid.as_raw(), &raw mut status, options) };
    match Errno::result(result) {
        Err(Errno::EINTR) | Ok(0) => Ok(None),
        Err(errno) => Err(errno.into()),
        Ok(_) if libc::WIFSTOPPED(status) => Ok(Some(Change::Stopped(libc::WSTOPSIG(status)))),
        Ok(_) => {
            let code = if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            };
            Ok(Some(Change::Ended(u8::try_from(code).unwrap_or(u8::MAX))))
        }
    }
}

/// Decodes the status of wait4(2). Without `WUNTRACED` the status is that of an end.
fn ending(status: i32) -> io::Result<Ending> {
    if libc::WIFEXITED(status) {
        Ok(Ending::Code(libc::WEXITSTATUS(status)))
    } else {
        Ok(Ending::Signal(Signal::try_from(libc::WTERMSIG(status))?))
    }
}

fn duration(time: libc::timeval) -> Duration {
    let micros = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_usec.unsigned_abs();
    Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn run(script: &str) -> Reaped {
        let mut command = Command::new("/bin/sh");
        let child = command.args(["-c", script]).stdin(Stdio::null()).spawn();
        let id = child.unwrap().id();
        reap(Pid::from_raw(id.try_into().unwrap())).unwrap()
    }

    #[test]
    fn an_exit_code_and_a_signal_are_told_apart() {
        assert_eq!(run("exit 3").ending, Ending::Code(3));
        assert_eq!(run("kill -9 $$").ending, Ending::Signal(Signal::SIGKILL));
    }

    #[test]
    fn a_process_that_is_no_child_can_t_be_reaped() {
        assert!(reap(Pid::this()).is_err());
    }

    #[test]
    fn the_processor_time_includes_waited_children_and_no_sleep() {
        const BUSY: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let (own, child, asleep) = (run(BUSY), run(&format!("({BUSY}); true")), run("sleep 0.3"));
        let least = Duration::from_millis(30);
        assert!(
            own.cpu_time.sum() > least && child.cpu_time.sum() > least,
            "{own:?} {child:?}"
        );
        assert!(
            asleep.cpu_time.sum() < own.cpu_time.sum().min(child.cpu_time.sum()),
            "{asleep:?}"
        );
    }
}
