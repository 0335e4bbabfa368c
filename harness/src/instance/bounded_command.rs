//! Commands that isobench runs outside of the measurements, such as asking a runtime for its
//! version or deleting a container. Their time and output are bounded: a runtime that hangs or
//! floods its output costs a moment, no more.

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
const MAX_OUTPUT: usize = 64 * 1024;

/// What a program wrote, and how the program ended.
#[derive(Debug)]
pub struct CommandOutput {
    /// How the program ended.
    pub result: CommandResult,
    /// The beginning of the program's standard output.
    pub stdout: String,
    /// The beginning of the program's standard error.
    pub stderr: String,
}

impl CommandOutput {
    /// Whether the program ended with exit code 0, in time.
    pub fn succeeded(&self) -> bool {
        self.result == CommandResult::Success
    }

    /// The last line of the program's standard error, or a text that says that there is none.
    pub fn last_error_line(&self) -> &str {
        let last = self.stderr.trim().lines().last();
        last.filter(|line| !line.is_empty())
            .unwrap_or("it gave no reason")
    }
}

/// Runs `command` without input. After `limit` the program and its process group are killed.
///
/// # Errors
/// The program could not be started, or its output could not be read.
pub fn run(command: &CommandLine, limit: Duration) -> io::Result<CommandOutput> {
    let (stdout_writer, mut stdout) = Stream::pipe(MAX_OUTPUT)?;
    let (stderr_writer, mut stderr) = Stream::pipe(MAX_OUTPUT)?;
    let descriptors = Descriptors {
        stdin: File::open("/dev/null")?.into(),
        stdout: stdout_writer,
        stderr: stderr_writer,
        marks: None,
    };
    let child = spawn(command, descriptors, ProcessGroup::Own).map_err(io::Error::other)?;
    let listened = listen(&child, [&mut stdout, &mut stderr], limit);
    // The group's number can't be given to another group before the program is reaped.
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
    Ok(CommandOutput {
        result,
        stdout: stdout.text(),
        stderr: stderr.text(),
    })
}

/// Reads what `child` writes until the child ends, writes more than is kept, or runs out of time.
fn listen(child: &Child, mut streams: [&mut Stream; 2], limit: Duration) -> io::Result<()> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let open = streams.iter().filter(|stream| !stream.is_closed());
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
        if ended || streams.iter().any(|stream| stream.has_overflowed()) {
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
    fn the_output_and_the_result_of_a_command_are_returned() {
        let good = run(&shell("echo 1; echo two >&2; exit 0"), LONG).unwrap();
        assert_eq!(good.result, CommandResult::Success);
        assert_eq!(good.stdout, "1\n");
        assert_eq!(good.last_error_line(), "two");
        let failed = run(&shell("exit 3"), LONG).unwrap();
        assert_eq!(failed.result, CommandResult::Failure);
        assert_eq!(failed.last_error_line(), "it gave no reason");
    }

    #[test]
    fn a_command_that_hangs_or_floods_is_killed() {
        let begun = Instant::now();
        let hung = run(&shell("echo 1; sleep 100"), Duration::from_millis(200)).unwrap();
        assert_eq!(hung.result, CommandResult::Failure);
        assert_eq!(hung.stdout, "1\n");
        let flooded = run(&shell("cat /dev/zero"), LONG).unwrap();
        assert_eq!(flooded.result, CommandResult::Failure);
        assert_eq!(flooded.stdout.len(), MAX_OUTPUT);
        assert!(begun.elapsed() < LONG);
    }
}
