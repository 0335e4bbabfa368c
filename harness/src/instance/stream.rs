//! What an instance writes, read without ever blocking and without trusting its amount.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Bytes taken by one read: as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The reading end of an instance's pipe.
#[derive(Debug)]
pub struct Stream {
    pipe: File,
    buffer: Vec<u8>,
    chunk: Vec<u8>,
    most: usize,
    total: usize,
    ended: bool,
}

impl Stream {
    /// Reads from `pipe`, of which at most `most` bytes are kept.
    ///
    /// # Errors
    /// The pipe could not be made non-blocking.
    pub fn new(pipe: OwnedFd, most: usize) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            pipe: pipe.into(),
            buffer: Vec::new(),
            chunk: vec![0; CHUNK],
            most,
            total: 0,
            ended: false,
        })
    }

    /// A pipe to hand to a child, and the stream that reads it.
    ///
    /// # Errors
    /// No pipe could be made.
    pub fn pipe(most: usize) -> io::Result<(OwnedFd, Self)> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        Ok((writer, Self::new(reader, most)?))
    }

    /// Reads what is there now; what exceeds the limit is counted and thrown away.
    ///
    /// # Errors
    /// The pipe could not be read.
    pub fn fill(&mut self) -> io::Result<()> {
        match self.pipe.read(&mut self.chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                self.total += count;
                let room = self.most.saturating_sub(self.buffer.len());
                self.buffer
                    .extend_from_slice(&self.chunk[..count.min(room)]);
            }
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) => {}
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Reads all that is there now.
    ///
    /// # Errors
    /// The pipe could not be read.
    pub fn drain(&mut self) -> io::Result<()> {
        loop {
            let before = self.total;
            self.fill()?;
            if self.ended || self.total == before {
                return Ok(());
            }
        }
    }

    /// Takes the next whole line, without its newline; bytes that aren't UTF-8 are replaced.
    pub fn take_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// What has been kept and not taken.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Whether every writer has gone.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether more came than is kept.
    pub fn flooded(&self) -> bool {
        self.total > self.most
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn lines_come_whole_and_a_flood_is_cut() {
        let (writer, mut stream) = Stream::pipe(16).unwrap();
        let mut writer = File::from(writer);
        writer.write_all(b"one\ntw").unwrap();
        stream.fill().unwrap();
        assert_eq!(stream.take_line().as_deref(), Some("one"));
        assert_eq!(stream.take_line(), None);
        writer.write_all(&[b'x'; 100]).unwrap();
        drop(writer);
        stream.drain().unwrap();
        assert!(stream.ended() && stream.flooded());
        assert_eq!(stream.text().len(), 16);
    }
}
