//! What a timed program writes: any amount of any bytes. The last of them are kept, and a line that
//! the user waits for is looked for.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use regex::bytes::Regex;

use crate::host::clock::MonotonicTime;

/// Bytes that one read takes: as many as a pipe holds.
const CHUNK: usize = 64 * 1024;
/// How many of the last bytes are kept, for a message.
const TAIL: usize = 4096;
/// The longest line of which all is compared with the pattern, in bytes. Of a longer line only the
/// end is.
const LONGEST_LINE: usize = 64 * 1024;

/// Which line a program is ready with.
#[derive(Debug, Clone)]
pub enum LinePattern {
    /// The first line.
    Any,
    /// The first line that the expression matches.
    Matching(Regex),
}

impl LinePattern {
    fn matches(&self, line: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Matching(regex) => regex.is_match(line.strip_suffix(b"\r").unwrap_or(line)),
        }
    }
}

/// The reading end of a timed program's pipe.
#[derive(Debug)]
pub(super) struct Output {
    pipe: File,
    chunk: Vec<u8>,
    tail: VecDeque<u8>,
    /// The pattern, until a line has matched.
    awaited: Option<LinePattern>,
    /// The beginning of a line whose end hasn't come.
    line: Vec<u8>,
    matched_at: Option<MonotonicTime>,
    is_closed: bool,
}

impl Output {
    /// Makes a pipe: the writing end for a program, and the output that is read from the other end.
    /// The memory that reading takes is touched now.
    pub fn pipe(awaited: Option<LinePattern>) -> io::Result<(OwnedFd, Self)> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        let output = Self {
            pipe: reader.into(),
            chunk: vec![1; CHUNK],
            tail: VecDeque::with_capacity(TAIL),
            awaited,
            line: Vec::new(),
            matched_at: None,
            is_closed: false,
        };
        Ok((writer, output))
    }

    /// Reads once, without waiting. Returns whether anything came.
    pub fn fill(&mut self) -> io::Result<bool> {
        match self.pipe.read(&mut self.chunk) {
            Ok(0) => {
                self.is_closed = true;
                // What ends without a line feed is a line as well.
                if !self.line.is_empty() {
                    self.compare_line(MonotonicTime::now());
                }
                Ok(false)
            }
            Ok(count) => {
                let at = MonotonicTime::now();
                self.look_for_line(count, at);
                self.keep_tail(count);
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// When the awaited line was read; `None` if it hasn't come.
    pub fn matched_at(&self) -> Option<MonotonicTime> {
        self.matched_at
    }

    /// Whether all writers have closed the pipe.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// The last bytes, as text.
    pub fn tail(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Compares the lines of the first `count` bytes of the chunk with the pattern.
    fn look_for_line(&mut self, count: usize, at: MonotonicTime) {
        let mut start = 0;
        while self.awaited.is_some() {
            let rest = &self.chunk[start..count];
            let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
                self.line.extend_from_slice(rest);
                let excess = self.line.len().saturating_sub(LONGEST_LINE);
                self.line.drain(..excess);
                return;
            };
            self.line.extend_from_slice(&rest[..end]);
            start += end + 1;
            self.compare_line(at);
        }
    }

    /// Compares the line so far with the pattern, and begins a new line.
    fn compare_line(&mut self, at: MonotonicTime) {
        let line = std::mem::take(&mut self.line);
        if self
            .awaited
            .as_ref()
            .is_some_and(|pattern| pattern.matches(&line))
        {
            self.matched_at = Some(at);
            self.awaited = None;
        }
    }

    fn keep_tail(&mut self, count: usize) {
        let new = &self.chunk[count.saturating_sub(TAIL)..count];
        let excess = (self.tail.len() + new.len()).saturating_sub(TAIL);
        self.tail.drain(..excess);
        self.tail.extend(new);
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn matches(pattern: LinePattern, pieces: &[&[u8]]) -> Option<usize> {
        let (writer, mut output) = Output::pipe(Some(pattern)).unwrap();
        let mut writer = File::from(writer);
        for (index, piece) in pieces.iter().enumerate() {
            writer.write_all(piece).unwrap();
            assert!(output.fill().unwrap());
            if output.matched_at().is_some() {
                return Some(index);
            }
        }
        drop(writer);
        output.fill().unwrap();
        assert!(output.is_closed());
        output.matched_at().map(|_| pieces.len())
    }

    #[test]
    fn a_line_counts_when_its_end_has_come() {
        let regex = |text: &str| LinePattern::Matching(Regex::new(text).unwrap());
        assert_eq!(
            matches(LinePattern::Any, &[b"half", b" a line", b"\nmore"]),
            Some(2)
        );
        assert_eq!(matches(LinePattern::Any, &[b"no end"]), Some(1));
        assert_eq!(matches(LinePattern::Any, &[]), None);
        assert_eq!(
            matches(regex("^ready$"), &[b"not ready\nready\r\n"]),
            Some(0)
        );
        assert_eq!(matches(regex("^ready$"), &[b"one\nrea", b"dy\n"]), Some(1));
        assert_eq!(
            matches(regex("^ready$"), &[b"readily\n", b"already\n"]),
            None
        );
        assert_eq!(matches(regex("\\xff"), &[b"\xc3\xbf\n"]), Some(0));
    }

    #[test]
    fn a_flood_leaves_its_last_bytes_alone() {
        let (writer, mut output) = Output::pipe(None).unwrap();
        let mut writer = File::from(writer);
        for piece in [
            &[b'x'; 10_000][..],
            b"y".repeat(3000).as_slice(),
            b"the end",
        ] {
            writer.write_all(piece).unwrap();
            assert!(output.fill().unwrap());
        }
        assert!(!output.fill().unwrap());
        let tail = output.tail();
        assert_eq!(tail.len(), TAIL);
        assert!(tail.ends_with("yythe end") && tail.starts_with('x'));
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory() {
        let pattern = LinePattern::Matching(Regex::new("end$").unwrap());
        let (writer, mut output) = Output::pipe(Some(pattern)).unwrap();
        let mut writer = File::from(writer);
        for _ in 0..40 {
            writer.write_all(&b"x".repeat(32_000)).unwrap();
            output.fill().unwrap();
        }
        assert!(output.line.len() <= LONGEST_LINE);
        writer.write_all(b"end\n").unwrap();
        output.fill().unwrap();
        assert!(output.matched_at().is_some());
    }
}
