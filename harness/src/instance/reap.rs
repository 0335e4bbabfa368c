#![expect(
    unsafe_code,
    reason = "wait4(2), which neither std nor nix offers, and its two structures"
)]
//! The end of a child: how it ended, and the processor time that it took.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
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
    /// How it ended.
    pub ending: Ending,
    /// What it and its threads ran, on all CPUs together, in the kernel or not; and, of those of its descendants that
    /// their parents have waited for, the same.
    pub cpu_time: Duration,
}

/// Waits until `pid`, a child, has ended.
///
/// # Errors
/// It is no child of ours, or was waited for before.
pub fn reap(pid: Pid) -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a valid value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both are ours and live through the call.
        let result = unsafe { libc::wait4(pid.as_raw(), &raw mut status, 0, &raw mut usage) };
        match Errno::result(result) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => {
                return Ok(Reaped {
                    ending: ending(status)?,
                    cpu_time: duration(usage.ru_utime) + duration(usage.ru_stime),
                });
            }
        }
    }
}

/// Without `WUNTRACED` only an end is told of.
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
    fn an_end_is_told() {
        assert_eq!(run("exit 3").ending, Ending::Code(3));
        assert_eq!(run("kill -9 $$").ending, Ending::Signal(Signal::SIGKILL));
        assert!(reap(Pid::this()).is_err());
    }

    #[test]
    fn work_counts_a_waited_child_s_too_and_waiting_doesn_t() {
        const BUSY: &str = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let (own, child, asleep) = (run(BUSY), run(&format!("({BUSY}); true")), run("sleep 0.3"));
        let least = Duration::from_millis(30);
        assert!(
            own.cpu_time > least && child.cpu_time > least,
            "{own:?} {child:?}"
        );
        assert!(
            asleep.cpu_time < own.cpu_time.min(child.cpu_time),
            "{asleep:?}"
        );
    }
}
