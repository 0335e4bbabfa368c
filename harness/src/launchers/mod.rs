#![expect(
    unsafe_code,
    reason = "takes over the descriptors that the harness passed by number; promises what marks do"
)]
//! What the launchers' mains share: the descriptors from the harness, and how a failure is printed.

pub mod tracer;

use std::error::Error;
use std::fmt::Write as _;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use isobench_container::{Phase, PhaseObserver};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::instance::marks::MarkWriter;
use crate::streams::tell;

/// The exit code for a request that can't be served: a bad flag, program, layer or disk.
const BAD_REQUEST: u8 = 2;
/// The exit code of a launcher that failed. docker and podman use the same.
const LAUNCHER_FAILED: u8 = 125;

/// The first descriptor after standard input, output and error.
const FIRST_INHERITED: u32 = 3;

/// A launcher's failure: one line for the user, and an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// A failure whose line is the error and all its causes.
    pub fn new(code: u8, error: impl Into<Box<dyn Error>>) -> Self {
        let error = error.into();
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            // Writing to a string can't fail.
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        Self { code, message }
    }

    /// A failure because the request can't be served.
    pub fn bad_request(error: impl Into<Box<dyn Error>>) -> Self {
        Self::new(BAD_REQUEST, error)
    }

    /// A failure because the command line is wrong. `usage` tells the user the right form.
    pub fn bad_usage(error: impl Into<Box<dyn Error>>, usage: &str) -> Self {
        let mut failure = Self::bad_request(error);
        failure.message = format!("{}; {usage}", failure.message);
        failure
    }

    /// A failure of the launcher itself or of the host.
    pub fn of_launcher(error: impl Into<Box<dyn Error>>) -> Self {
        Self::new(LAUNCHER_FAILED, error)
    }

    /// Prints the failure on standard error, after the launcher's name, and returns the exit code.
    pub fn print(&self, name: &str) -> u8 {
        tell(format_args!("{name}: {}", self.message));
        self.code
    }
}

/// The exit code of the launcher `name`. A failure is printed on standard error.
pub fn exit_code(name: &str, result: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(result.unwrap_or_else(|failure| failure.print(name)))
}

// SAFETY: a mark is formatted into an array on the stack, of a hundred bytes, and written by one
// system call. Nothing is allocated or locked, and the clock that is read always exists.
unsafe impl PhaseObserver for MarkWriter {
    fn phase_ended(&self, phase: Phase) {
        self.mark(phase.name());
    }
}

/// The descriptors above 2 that the launcher inherited from the harness.
///
/// The holder of this value owns them all, so taking one of them or closing the rest is safe.
#[derive(Debug)]
pub struct InheritedDescriptors {
    has_marks: bool,
    /// How many descriptors from 3 on are the program's.
    preserved: u16,
}

impl InheritedDescriptors {
    /// Takes ownership of all open descriptors above 2.
    ///
    /// # Safety
    /// Nothing in this process may own a descriptor above 2. So `main` calls this function first,
    /// once, before the launcher opens anything.
    pub unsafe fn claim() -> Self {
        Self {
            has_marks: false,
            preserved: 0,
        }
    }

    /// Takes the descriptor `number` as the pipe for marks. From then on `execve` closes the
    /// descriptor.
    ///
    /// # Errors
    /// The harness passed no such descriptor, or the pipe was taken before.
    pub fn marks(&mut self, number: i32) -> Result<MarkWriter, &'static str> {
        const REFUSED: &str = "--marks-fd takes an open descriptor above 2, once";
        if number <= 2 || self.is_preserved(number) || self.has_marks {
            return Err(REFUSED);
        }
        // SAFETY: the descriptor is borrowed for one call, which fails if the descriptor isn't
        // open.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| REFUSED)?;
        self.has_marks = true;
        // SAFETY: the descriptor is open, `self` owns it, and `has_marks` keeps it from being taken
        // twice. The launcher opens nothing before it has read its command line.
        Ok(MarkWriter::new(unsafe { OwnedFd::from_raw_fd(number) }))
    }

    /// Keeps `count` descriptors from 3 on for the program, and gives the count.
    ///
    /// # Errors
    /// One of them isn't open, or is the pipe for marks.
    pub fn preserve(&mut self, count: u16) -> Result<u16, &'static str> {
        const REFUSED: &str =
            "--preserve-fds takes the number of open descriptors from 3 on, before --marks-fd";
        for number in FIRST_INHERITED..FIRST_INHERITED + u32::from(count) {
            let number = i32::try_from(number).map_err(|_| REFUSED)?;
            // SAFETY: the descriptor is borrowed for one call, which fails if it isn't open.
            let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl(borrowed, FcntlArg::F_GETFD).map_err(|_| REFUSED)?;
        }
        if self.has_marks {
            return Err(REFUSED);
        }
        self.preserved = count;
        Ok(count)
    }

    fn is_preserved(&self, number: i32) -> bool {
        let end = FIRST_INHERITED + u32::from(self.preserved);
        u32::try_from(number).is_ok_and(|number| number < end)
    }

    /// Closes all inherited descriptors but the pipe of `marks` and the program's. Until `execve`, an open directory of the host would be a way out of a
    /// container.
    pub fn close_rest(self, marks: &MarkWriter) -> PreservedDescriptors {
        let end = FIRST_INHERITED + u32::from(self.preserved);
        let kept = marks
            .descriptor()
            .and_then(|number| u32::try_from(number).ok());
        match kept {
            None => close_descriptors(end, u32::MAX),
            Some(kept) => {
                if kept > end {
                    close_descriptors(end, kept - 1);
                }
                close_descriptors(kept + 1, u32::MAX);
            }
        }
        PreservedDescriptors { end }
    }
}

/// The inherited descriptors that the launcher keeps for its program.
#[derive(Debug)]
#[must_use]
pub struct PreservedDescriptors {
    /// One past the highest number.
    end: u32,
}

impl PreservedDescriptors {
    /// Closes the descriptors here. The program has its own copies.
    pub fn close(self) {
        if self.end > FIRST_INHERITED {
            close_descriptors(FIRST_INHERITED, self.end - 1);
        }
    }
}

/// Closes inherited descriptors, `first` to `last`, which the caller owns.
fn close_descriptors(first: u32, last: u32) {
    // SAFETY: close_range(2) takes three integers, and the callers above own what they close. The
    // call is missing in kernels before 5.9, which can't run a container anyway.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_all_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::of_launcher(Outer(std::io::Error::other("inner")));
        assert_eq!(failure.message, "outer: inner");
        assert_eq!(exit_code("name", Err(failure)), ExitCode::from(125));
        let usage = Failure::bad_usage("no program is given", "usage: name PROGRAM");
        assert_eq!(usage.message, "no program is given; usage: name PROGRAM");
        assert_eq!(exit_code("name", Err(usage)), ExitCode::from(2));
        assert_eq!(exit_code("name", Ok(7)), ExitCode::from(7));
    }

    #[test]
    fn only_an_open_descriptor_above_2_can_be_the_pipe_for_marks() {
        // SAFETY: the value is never used to close descriptors.
        let mut inherited = unsafe { InheritedDescriptors::claim() };
        for number in [-1, 0, 2, i32::MAX] {
            assert!(inherited.marks(number).is_err(), "{number}");
        }
    }

    #[test]
    fn the_pipe_for_marks_can_be_taken_once() {
        use std::os::fd::IntoRawFd as _;
        let number = std::fs::File::open("/dev/null").unwrap().into_raw_fd();
        // SAFETY: only the descriptor of this file is taken.
        let mut inherited = unsafe { InheritedDescriptors::claim() };
        let _marks = inherited.marks(number).unwrap();
        assert!(inherited.marks(number).is_err());
    }
}
