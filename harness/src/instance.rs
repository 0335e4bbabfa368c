//! One running instance of a target: started, listened to, ended, reaped.
//!
//! Everything that an instance says is bounded and checked; one that hangs, floods, garbles or dies early ends in
//! an [`InstanceError`] that says so, and dropping an [`Instance`] kills and reaps it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use isobench_workloads::protocol::{Message, ProtocolError};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

use crate::interrupt::Interrupt;
use crate::marks::{Mark, MarkError, MonotonicTime, parse_marks};
use crate::spawn::{Child, CommandLine, Descriptors, ProcessGroup, SpawnError, spawn};
use crate::stream::Stream;

/// Bytes of standard output after which an instance counts as flooding: far more than the protocol needs.
const MOST_OUTPUT: usize = 1024 * 1024;
/// Bytes of standard error that are kept for a message.
const MOST_ERROR_OUTPUT: usize = 4096;
/// Bytes of marks that are kept.
const MOST_MARKS: usize = 16 * 1024;

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

/// An instance did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub enum InstanceError {
    /// It could not be started.
    #[error("the instance could not be started")]
    Spawn(#[from] SpawnError),
    /// A pipe failed.
    #[error("cannot exchange data with the instance")]
    Pipe(#[from] io::Error),
    /// It took too long.
    #[error("no {awaited} within {limit:?}")]
    Timeout {
        /// What was waited for.
        awaited: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// It ended before it said what it should.
    #[error("ended with {ending} before its {awaited}{}", said(stderr))]
    EndedEarly {
        /// What was waited for.
        awaited: &'static str,
        /// How it ended.
        ending: Ending,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It did its work and then failed.
    #[error("ended with {ending}{}", said(stderr))]
    Failed {
        /// How it ended.
        ending: Ending,
        /// What it wrote to standard error.
        stderr: String,
    },
    /// It wrote far more than the protocol has.
    #[error("flooded its standard output with more than {MOST_OUTPUT} bytes")]
    Flood,
    /// It closed its output and stayed.
    #[error("closed its standard output before its {awaited}")]
    Closed {
        /// What was waited for.
        awaited: &'static str,
    },
    /// It wrote a line that isn't of the protocol.
    #[error("its standard output isn't the workload's protocol")]
    Protocol(#[from] ProtocolError),
    /// It said something that doesn't belong there.
    #[error("said `{said}` where its {awaited} was due")]
    Unexpected {
        /// The message.
        said: String,
        /// What was waited for.
        awaited: &'static str,
    },
    /// Its launcher's marks can't be read.
    #[error("its launcher's phase marks are wrong")]
    Marks(#[from] MarkError),
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

fn said(stderr: &str) -> String {
    let line = stderr.trim().lines().last().unwrap_or_default();
    if line.is_empty() {
        String::new()
    } else {
        format!(": {line}")
    }
}

/// What the instance finds on its standard input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing: `/dev/null`.
    Null,
    /// A pipe that stays open until [`Instance::close_stdin`].
    Held,
}

/// A started instance.
#[derive(Debug)]
pub struct Instance<'i> {
    child: Child,
    ending: Option<(Ending, MonotonicTime)>,
    stdin: Option<OwnedFd>,
    stdout: Stream,
    stderr: Stream,
    marks: Stream,
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl<'i> Instance<'i> {
    /// Starts `command`; it has `limit` for everything that follows.
    ///
    /// # Errors
    /// [`InstanceError::Spawn`] or [`InstanceError::Pipe`].
    pub fn start(
        command: &CommandLine,
        stdin: Stdin,
        limit: Duration,
        interrupt: &'i Interrupt,
    ) -> Result<Self, InstanceError> {
        let (stdout_writer, stdout) = Stream::pipe(MOST_OUTPUT)?;
        let (stderr_writer, stderr) = Stream::pipe(MOST_ERROR_OUTPUT)?;
        let (marks_writer, marks) = Stream::pipe(MOST_MARKS)?;
        let (child_stdin, held) = open_stdin(stdin)?;
        let descriptors = Descriptors {
            stdin: child_stdin,
            stdout: stdout_writer,
            stderr: stderr_writer,
            marks: Some(marks_writer),
        };
        let child = spawn(command, descriptors, ProcessGroup::Own)?;
        Ok(Self {
            child,
            ending: None,
            stdin: held,
            stdout,
            stderr,
            marks,
            limit,
            deadline: Instant::now() + limit,
            interrupt,
        })
    }

    /// The clock just before the instance was cloned.
    pub fn spawned_at(&self) -> MonotonicTime {
        self.child.spawned_at
    }

    /// Process id of the instance's first process.
    pub fn pid(&self) -> nix::unistd::Pid {
        self.child.pid
    }

    /// Waits for the next message on its standard output, and says when it arrived.
    ///
    /// # Errors
    /// Any [`InstanceError`] but `Failed` and `Marks`.
    pub fn next_message(
        &mut self,
        awaited: &'static str,
    ) -> Result<(Message, MonotonicTime), InstanceError> {
        loop {
            let arrived = MonotonicTime::now();
            if let Some(line) = self.stdout.take_line() {
                return Ok((line.parse()?, arrived));
            }
            if self.stdout.flooded() {
                return Err(InstanceError::Flood);
            }
            if self.stdout.ended() {
                return Err(self.ended_early(awaited));
            }
            self.await_output(awaited)?;
        }
    }

    /// Waits for exactly `Message::Ready`.
    ///
    /// # Errors
    /// As [`Instance::next_message`], and [`InstanceError::Unexpected`].
    pub fn ready(&mut self) -> Result<MonotonicTime, InstanceError> {
        match self.next_message("ready line")? {
            (Message::Ready, at) => Ok(at),
            (other, _) => Err(unexpected(&other, "ready line")),
        }
    }

    /// Closes its standard input: an idle workload then exits.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits for it to exit with code 0, and says when it did.
    ///
    /// # Errors
    /// [`InstanceError::Failed`] for any other ending; `Timeout`, `Flood`, `Interrupted`, `Pipe`.
    pub fn finished(&mut self) -> Result<MonotonicTime, InstanceError> {
        let (ending, at) = self.wait("exit")?;
        self.stdout.drain()?;
        self.stderr.drain()?;
        if self.stdout.flooded() {
            return Err(InstanceError::Flood);
        }
        match ending {
            Ending::Code(0) => Ok(at),
            ending => Err(InstanceError::Failed {
                ending,
                stderr: self.stderr.text(),
            }),
        }
    }

    /// The phase marks that have arrived so far.
    ///
    /// # Errors
    /// [`InstanceError::Marks`] or [`InstanceError::Pipe`].
    pub fn marks(&mut self) -> Result<Vec<Mark>, InstanceError> {
        self.marks.drain()?;
        Ok(parse_marks(&self.marks.text())?)
    }

    fn ended_early(&mut self, awaited: &'static str) -> InstanceError {
        match self.wait(awaited) {
            Ok((ending, _)) => {
                // A stderr that can't be read leaves the message without its last line, no more.
                let _ = self.stderr.drain();
                InstanceError::EndedEarly {
                    awaited,
                    ending,
                    stderr: self.stderr.text(),
                }
            }
            Err(InstanceError::Timeout { .. }) => InstanceError::Closed { awaited },
            Err(error) => error,
        }
    }

    fn wait(&mut self, awaited: &'static str) -> Result<(Ending, MonotonicTime), InstanceError> {
        loop {
            if let Some(ended) = self.ending {
                return Ok(ended);
            }
            if self.stdout.flooded() {
                return Err(InstanceError::Flood);
            }
            self.await_exit(awaited)?;
        }
    }

    fn await_output(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        let [stdout, stderr] = {
            let mut polled = [
                poll_in(&self.stdout),
                poll_in(self.interrupt),
                poll_in(&self.stderr),
            ];
            let watched = if self.stderr.ended() { 2 } else { 3 };
            self.poll(&mut polled[..watched], awaited)?;
            [is_ready(&polled[0]), watched == 3 && is_ready(&polled[2])]
        };
        if stdout {
            self.stdout.fill()?;
        }
        if stderr {
            self.stderr.fill()?;
        }
        Ok(())
    }

    fn await_exit(&mut self, awaited: &'static str) -> Result<(), InstanceError> {
        let (exited, at) = {
            let mut polled = vec![poll_in(&self.child.pidfd), poll_in(self.interrupt)];
            for stream in [&self.stdout, &self.stderr] {
                if !stream.ended() {
                    polled.push(poll_in(stream));
                }
            }
            self.poll(&mut polled, awaited)?;
            (is_ready(&polled[0]), MonotonicTime::now())
        };
        if exited {
            // What it left in its process group goes before its number may be given to another group.
            let _ = killpg(self.child.pid, Signal::SIGKILL);
            self.ending = Some((reap(&self.child)?, at));
        }
        self.stdout.fill()?;
        self.stderr.fill()?;
        Ok(())
    }

    fn poll(&self, polled: &mut [PollFd], awaited: &'static str) -> Result<(), InstanceError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(polled, timeout) {
            Ok(0) => Err(InstanceError::Timeout {
                awaited,
                limit: self.limit,
            }),
            Ok(_) | Err(Errno::EINTR) if self.interrupt.asked() => Err(InstanceError::Interrupted),
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(InstanceError::Pipe(errno.into())),
        }
    }
}

impl Drop for Instance<'_> {
    fn drop(&mut self) {
        if self.ending.is_none() {
            // The group is empty until the child has made it, so the child itself is named as well.
            let _ = killpg(self.child.pid, Signal::SIGKILL);
            let _ = kill(self.child.pid, Signal::SIGKILL);
            let _ = reap(&self.child);
        }
    }
}

/// The error for a message that doesn't belong there.
pub fn unexpected(message: &Message, awaited: &'static str) -> InstanceError {
    InstanceError::Unexpected {
        said: message.to_string().chars().take(80).collect(),
        awaited,
    }
}

fn open_stdin(stdin: Stdin) -> io::Result<(OwnedFd, Option<OwnedFd>)> {
    match stdin {
        Stdin::Null => Ok((std::fs::File::open("/dev/null")?.into(), None)),
        Stdin::Held => {
            let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
            Ok((reader, Some(writer)))
        }
    }
}

fn poll_in<F: AsFd>(descriptor: &F) -> PollFd<'_> {
    PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)
}

fn is_ready(polled: &PollFd) -> bool {
    polled.any().unwrap_or(false)
}

fn reap(child: &Child) -> io::Result<Ending> {
    loop {
        match waitpid(child.pid, Some(WaitPidFlag::empty())) {
            Ok(WaitStatus::Exited(_, code)) => return Ok(Ending::Code(code)),
            Ok(WaitStatus::Signaled(_, signal, _)) => return Ok(Ending::Signal(signal)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> CommandLine {
        CommandLine::new("/bin/sh").args(["-c", script])
    }

    fn start<'i>(script: &str, limit: Duration, interrupt: &'i Interrupt) -> Instance<'i> {
        Instance::start(&shell(script), Stdin::Held, limit, interrupt).unwrap()
    }

    const LONG: Duration = Duration::from_secs(20);
    const SHORT: Duration = Duration::from_millis(200);

    fn is_alive(pid: &str) -> bool {
        let state = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        state.is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_good_instance_is_ready_and_finishes() {
        let interrupt = Interrupt::never().unwrap();
        let mut instance = start("echo isobench/1 ready; read line; exit 0", LONG, &interrupt);
        let ready = instance.ready().unwrap();
        assert!(ready > instance.spawned_at());
        instance.close_stdin();
        assert!(instance.finished().unwrap() > ready);
    }

    #[test]
    fn one_that_hangs_is_killed_with_its_children() {
        let interrupt = Interrupt::never().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let script = format!("sleep 100 & echo $! > {}; wait", file.path().display());
        let mut instance = start(&script, SHORT, &interrupt);
        assert_eq!(
            instance.ready().unwrap_err().to_string(),
            "no ready line within 200ms"
        );
        let child = std::fs::read_to_string(file.path()).unwrap();
        assert!(is_alive(&child));
        drop(instance);
        let gone = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            !is_alive(&child)
        });
        assert!(gone, "the grandchild {child} still runs");
    }

    #[test]
    fn one_that_floods_fails_with_that_reason() {
        let interrupt = Interrupt::never().unwrap();
        let mut instance = start("head -c 3000000 /dev/zero", LONG, &interrupt);
        assert!(matches!(
            instance.ready().unwrap_err(),
            InstanceError::Flood
        ));
        let mut late = start(
            "echo isobench/1 ready; head -c 3000000 /dev/zero",
            LONG,
            &interrupt,
        );
        late.ready().unwrap();
        assert!(matches!(late.finished().unwrap_err(), InstanceError::Flood));
    }

    #[test]
    fn one_that_ends_early_is_quoted() {
        let interrupt = Interrupt::never().unwrap();
        let mut instance = start("echo no disk >&2; exit 3", LONG, &interrupt);
        assert_eq!(
            instance.ready().unwrap_err().to_string(),
            "ended with exit code 3 before its ready line: no disk"
        );
        let mut killed = start("kill -SEGV $$", LONG, &interrupt);
        assert_eq!(
            killed.ready().unwrap_err().to_string(),
            "ended with SIGSEGV before its ready line"
        );
    }

    #[test]
    fn one_that_garbles_or_fails_after_its_work_fails_its_sample() {
        let interrupt = Interrupt::never().unwrap();
        let mut garbled = start("echo hello", LONG, &interrupt);
        assert!(matches!(
            garbled.ready().unwrap_err(),
            InstanceError::Protocol(_)
        ));
        let mut other = start("echo isobench/1 begin", LONG, &interrupt);
        assert!(matches!(
            other.ready().unwrap_err(),
            InstanceError::Unexpected { .. }
        ));
        let mut failed = start("echo isobench/1 ready; exit 9", LONG, &interrupt);
        failed.ready().unwrap();
        assert_eq!(
            failed.finished().unwrap_err().to_string(),
            "ended with exit code 9"
        );
    }

    #[test]
    fn one_that_closes_its_output_and_stays_is_told_so() {
        let interrupt = Interrupt::never().unwrap();
        let mut instance = start("exec 1>&-; sleep 100", SHORT, &interrupt);
        assert!(matches!(
            instance.ready().unwrap_err(),
            InstanceError::Closed { .. }
        ));
    }

    #[test]
    fn marks_are_read_from_descriptor_three() {
        let interrupt = Interrupt::never().unwrap();
        let mut instance = start("echo clone 12 >&3; echo isobench/1 ready", LONG, &interrupt);
        instance.ready().unwrap();
        assert_eq!(instance.marks().unwrap()[0].phase, "clone");
        let mut liar = start("echo nonsense >&3; echo isobench/1 ready", LONG, &interrupt);
        liar.ready().unwrap();
        assert!(matches!(liar.marks().unwrap_err(), InstanceError::Marks(_)));
    }
}
