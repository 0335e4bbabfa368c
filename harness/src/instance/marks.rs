//! Phase marks: how a launcher tells the harness when each phase of a start ended.
//!
//! A launcher inherits a pipe and writes one line for each phase, `NAME NANOSECONDS\n`. The time is
//! the host's `CLOCK_MONOTONIC` at the *end* of the phase. One `write(2)` far below `PIPE_BUF`
//! writes a line, so the lines of several processes never interleave (pipe(7)).
//!
//! A launcher writes what it has counted to the same pipe, as lines `count NAME NUMBER\n`.
//!
//! A launcher can *hold* after a phase: it waits until a byte comes the other way. The harness then
//! gives it a socket, which goes both ways, in place of a pipe.

use std::io::{IoSliceMut, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};
use nix::sys::uio::readv;

use crate::host::clock::MonotonicTime;

/// The mark of a launcher that waits for the harness's word.
pub const HELD: &str = "held";
/// The mark of a launcher whose program has stopped, and can be cloned or saved.
pub const TEMPLATE: &str = "template";

/// Length of the longest phase name that is accepted, in bytes.
const MAX_NAME: usize = 32;
/// The first word of a line with a count.
const COUNT: &str = "count";

/// The writing end of the pipe, in a launcher.
///
/// A writer allocates nothing and holds no lock, so a container's child may use the writer between
/// `clone3` and `execve`.
#[derive(Debug, Default)]
pub struct MarkWriter {
    pipe: Option<OwnedFd>,
    /// The phase after which the launcher waits for a byte.
    held_phase: Option<&'static str>,
}

impl MarkWriter {
    /// Writes marks to `pipe`.
    pub fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: Some(pipe),
            held_phase: None,
        }
    }

    /// Lets the launcher wait after `phase` until a byte comes.
    ///
    /// # Errors
    /// Marks go to no socket, so no byte can come.
    pub fn hold_after(&mut self, phase: &'static str) -> Result<(), &'static str> {
        let kind = self.pipe.as_ref().and_then(|pipe| fstat(pipe).ok());
        let kind = kind.map(|status| SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT);
        if kind != Some(SFlag::S_IFSOCK) {
            return Err("--hold needs a socket as --marks-fd, by which the byte can come");
        }
        self.held_phase = Some(phase);
        Ok(())
    }

    /// The pipe's descriptor; `None` if the launcher writes no marks.
    pub fn descriptor(&self) -> Option<RawFd> {
        self.pipe.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Marks the end of `phase`, now. The launcher goes on even if nobody reads the pipe any more.
    pub fn mark(&self, phase: &str) {
        if self.pipe.is_some() {
            self.write(format_args!("{phase} {}", MonotonicTime::now().as_nanos()));
        }
        if self.held_phase == Some(phase) {
            self.write(format_args!("{HELD} {}", MonotonicTime::now().as_nanos()));
            self.wait();
        }
    }

    /// Waits until a byte comes, or the harness is gone. A VMM's filter lets `readv` pass, and not
    /// `read`.
    fn wait(&self) {
        let Some(pipe) = &self.pipe else { return };
        let mut byte = [0];
        while readv(pipe, &mut [IoSliceMut::new(&mut byte)]) == Err(Errno::EINTR) {}
    }

    /// Writes the count called `name`.
    pub fn count(&self, name: &str, number: u64) {
        self.write(format_args!("{COUNT} {name} {number}"));
    }

    fn write(&self, text: std::fmt::Arguments<'_>) {
        let Some(pipe) = &self.pipe else { return };
        let mut line = [0_u8; MAX_NAME + 32];
        let mut rest = line.as_mut_slice();
        if writeln!(rest, "{text}").is_ok() {
            let unused = rest.len();
            let used = line.len() - unused;
            let _ = nix::unistd::write(pipe.as_fd(), &line[..used]);
        }
    }
}

/// The end of one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The phase's name.
    pub phase: String,
    /// When the phase ended.
    pub at: MonotonicTime,
}

/// A number that a launcher has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// The name of what was counted.
    pub name: String,
    /// The number.
    pub number: u64,
}

/// A line in the marks pipe is neither a mark nor a count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the launcher's phase mark {line:?} is not `NAME NANOSECONDS`, nor `count NAME NUMBER`")]
pub struct MarkError {
    line: String,
}

/// Parses all marks and counts of one launch, each in the order written.
///
/// # Errors
/// A line is neither a mark nor a count, or its name isn't made of 1 to 32 lower-case letters,
/// digits and hyphens.
pub fn parse_marks(text: &str) -> Result<(Vec<Mark>, Vec<Count>), MarkError> {
    let (mut marks, mut counts) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let error = || MarkError {
            line: line.chars().take(80).collect(),
        };
        match line.split(' ').collect::<Vec<_>>()[..] {
            [phase, nanoseconds] => marks.push(Mark {
                phase: name(phase).ok_or_else(error)?,
                at: MonotonicTime::from_nanos(nanoseconds.parse().map_err(|_| error())?),
            }),
            [COUNT, counted, number] => counts.push(Count {
                name: name(counted).ok_or_else(error)?,
                number: number.parse().map_err(|_| error())?,
            }),
            _ => return Err(error()),
        }
    }
    Ok((marks, counts))
}

/// `text`, if it can be the name of a phase or of a count.
fn name(text: &str) -> Option<String> {
    let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(is_allowed);
    is_name.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_mark_is_read_back() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let marks = MarkWriter::new(writer);
        marks.mark("clone");
        marks.count("port-write", 12);
        marks.mark("pivot-root");
        drop(marks);
        let text = std::io::read_to_string(std::fs::File::from(reader)).unwrap();
        let (read, counts) = parse_marks(&text).unwrap();
        let written = Count {
            name: "port-write".to_owned(),
            number: 12,
        };
        assert_eq!(counts, [written]);
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].phase, "clone");
        assert_eq!(read[1].phase, "pivot-root");
        assert!(read[1].at >= read[0].at);
    }

    #[test]
    fn the_error_for_a_garbled_mark_quotes_the_line() {
        for line in [
            "clone",
            "clone x",
            " 5",
            "Clone 5",
            "clone -1",
            "a b 5",
            "count a x",
            "count A 1",
            "count a 1 2",
        ] {
            let error = parse_marks(line).unwrap_err();
            assert!(error.to_string().contains(line), "{error}");
        }
    }
}
