#![expect(
    unsafe_code,
    reason = "takes over the descriptor that the harness passed by number"
)]
//! What the launchers' mains share: the pipe for the marks, and how a failure is told.

pub mod tracer;

use std::error::Error;
use std::fmt::Write as _;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

use crate::instance::marks::MarkWriter;

/// Exit code of a request that cannot be served: a bad flag, program, layer or disk.
const BAD_REQUEST: u8 = 2;
/// Exit code of a launcher that failed, as with docker and podman.
const LAUNCHER_FAILED: u8 = 125;

/// The first descriptor after standard input, output and error.
const FIRST_INHERITED: u32 = 3;

/// A launcher can't do what it was asked: one line for the user, and an exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    code: u8,
    message: String,
}

impl Failure {
    /// The error and its causes, in one line.
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

    /// The request's fault.
    pub fn bad_request(error: impl Into<Box<dyn Error>>) -> Self {
        Self::new(BAD_REQUEST, error)
    }

    /// The command line's fault: `usage` says how it should be.
    pub fn bad_usage(error: impl Into<Box<dyn Error>>, usage: &str) -> Self {
        let mut failure = Self::bad_request(error);
        failure.message = format!("{}; {usage}", failure.message);
        failure
    }

    /// Tells it on standard error, after the launcher's name, and gives its exit code.
    pub fn tell(&self, name: &str) -> u8 {
        eprintln!("{name}: {}", self.message);
        self.code
    }

    /// The launcher's or the host's fault.
    pub fn of_launcher(error: impl Into<Box<dyn Error>>) -> Self {
        Self::new(LAUNCHER_FAILED, error)
    }
}

/// What a launcher's main returns: its code, or that of its failure, which is told on standard error.
pub fn end(name: &str, result: Result<u8, Failure>) -> ExitCode {
    ExitCode::from(result.unwrap_or_else(|failure| failure.tell(name)))
}

/// The writer of marks to the inherited descriptor `number`; from here on `execve` closes it.
///
/// To be called once, before the launcher opens anything.
///
/// # Errors
/// No such descriptor was inherited.
pub fn marks_to(number: i32) -> Result<MarkWriter, &'static str> {
    const REFUSED: &str = "--marks-fd takes an open descriptor above 2";
    if number <= 2 {
        return Err(REFUSED);
    }
    // SAFETY: borrowed for one call, which fails if it isn't open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| REFUSED)?;
    // SAFETY: it is open, and the harness passed it for this use alone; nothing was opened before it.
    Ok(MarkWriter::new(unsafe { OwnedFd::from_raw_fd(number) }))
}

/// Closes what was inherited but for the standard streams and the pipe of `marks`: an open directory of the host's
/// would be a way out of a container until `execve`.
///
/// To be called once, before the launcher opens anything.
pub fn close_inherited(marks: &MarkWriter) {
    let close = |first: u32, last: u32| {
        // SAFETY: plain integers. Nothing of this program's own has these numbers yet; a kernel without the call
        // (before 5.9) can't run a container anyway.
        unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    };
    let kept = marks
        .descriptor()
        .and_then(|number| u32::try_from(number).ok());
    let Some(kept) = kept else {
        return close(FIRST_INHERITED, u32::MAX);
    };
    if kept > FIRST_INHERITED {
        close(FIRST_INHERITED, kept - 1);
    }
    close(kept + 1, u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_of_all_causes() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        let failure = Failure::of_launcher(Outer(std::io::Error::other("inner")));
        assert_eq!(failure.message, "outer: inner");
        assert_eq!(end("name", Err(failure)), ExitCode::from(125));
        let usage = Failure::bad_usage("no program is given", "usage: name PROGRAM");
        assert_eq!(usage.message, "no program is given; usage: name PROGRAM");
        assert_eq!(end("name", Err(usage)), ExitCode::from(2));
        assert_eq!(end("name", Ok(7)), ExitCode::from(7));
    }

    #[test]
    fn marks_go_to_open_descriptors_only() {
        for number in [-1, 0, 2, i32::MAX] {
            assert!(marks_to(number).is_err(), "{number}");
        }
    }
}
