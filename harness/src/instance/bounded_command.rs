//! Programs that are run beside the measurements: to ask for a version, to delete a container. Their
//! time and output are bounded, so that a runtime that hangs or floods costs a moment and nothing
//! more.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitStatus, waitpid};

use crate::instance::command_line::{CommandLine, CommandResult};
use crate::instance::spawn::{Child, Descriptors, ProcessGroup, spawn};
use crate::instance::stream::Stream;

/// Bytes of each output that are kept.
const MOST_OUTPUT: usize = 64 * 1024;

/// What a program wrote, and how the program ended.
#[derive(Debug)]
pub struct Answer {
    /// How the program ended.
    pub result: CommandResult,
    /// The beginning of the program's standard output.
    pub output: String,
    /// The beginning of the program's standard error.
    pub errors: String,
}

impl Answer {
    /// Whether the program ended with exit code 0, in time.
    pub fn succeeded(&self) -> bool {
        self.result == CommandResult::Success
    }

    /// What the program complained about: the last line of its standard error.
    pub fn complaint(&self) -> &str {
        let last = self.errors.trim().lines().last();
        last.filter(|line| !line.is_empty())
            .unwrap_or("it gave no reason")
    }
}

/// Runs `command` without input, for `patience` at most; then `command` is killed with its process
/// group.
///
/// # Errors
/// The program could not be started, or its output not be read.
pub fn run(command: &CommandLine, patience: Duration) -> io::Result<Answer> {
    let (stdout_writer, mut stdout) = Stream::pipe(MOST_OUTPUT)?;
    let (stderr_writer, mut stderr) = Stream::pipe(MOST_OUTPUT)?;
    let descriptors = Descriptors {
        stdin: File::open("/dev/null")?.into(),
        stdout: stdout_writer,
        stderr: stderr_writer,
        marks: None,
    };
    let child = spawn(command, descriptors, ProcessGroup::Own).map_err(io::Error::other)?;
    let listened = listen(&child, [&mut stdout, &mut stderr], patience);
    // Whatever is left of the group: the number isn't free before the program is reaped.
    let _ = killpg(child.pid, Signal::SIGKILL);
    let result = loop {
        match waitpid(child.pid, None) {
            Err(Errno::EINTR) => {}
            Ok(WaitStatus::Exited(_, 0)) => break CommandResult::Success,
            _ => break CommandResult::Failure,
        }
    };
    listened?;
    stdout.drain()?;
    stderr.drain()?;
    Ok(Answer {
        result,
        output: stdout.text(),
        errors: stderr.text(),
    })
}

/// Reads what `child` writes until the child ends, floods or runs out of time.
fn listen(child: &Child, mut streams: [&mut Stream; 2], patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let open = streams.iter().filter(|stream| !stream.ended());
        let mut polled: Vec<_> = open
            .map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN))
            .collect();
        polled.push(PollFd::new(child.pidfd.as_fd(), PollFlags::POLLIN));
        match poll(&mut polled, timeout) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ended = polled.pop().and_then(|fd| fd.any()).unwrap_or(false);
        for stream in &mut streams {
            stream.fill()?;
        }
        if ended || streams.iter().any(|stream| stream.flooded()) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn shell(script: &str) -> CommandLine {
        CommandLine::new("/bin/sh").args(["-c", script])
    }

    #[test]
    fn what_is_said_is_kept_and_a_failure_is_told_from_a_success() {
        let answer = run(&shell("echo 1; echo two >&2; exit 0"), LONG).unwrap();
        assert_eq!(answer.result, CommandResult::Success);
        assert_eq!((answer.output.as_str(), answer.complaint()), ("1\n", "two"));
        let answer = run(&shell("exit 3"), LONG).unwrap();
        assert_eq!(answer.result, CommandResult::Failure);
        assert_eq!(answer.complaint(), "it gave no reason");
    }

    #[test]
    fn one_that_hangs_or_floods_is_given_up() {
        let begun = Instant::now();
        let hangs = run(&shell("echo 1; sleep 100"), Duration::from_millis(200)).unwrap();
        assert_eq!(
            (hangs.result, hangs.output.as_str()),
            (CommandResult::Failure, "1\n")
        );
        let floods = run(&shell("cat /dev/zero"), LONG).unwrap();
        assert_eq!(
            (floods.result, floods.output.len()),
            (CommandResult::Failure, MOST_OUTPUT)
        );
        assert!(begun.elapsed() < LONG);
    }
}
