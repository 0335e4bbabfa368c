//! What an instance writes. Reading never blocks, and the kept amount is bounded.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Bytes that one read takes: as many as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// The reading end of an instance's pipe.
#[derive(Debug)]
pub struct Stream {
    pipe: File,
    buffer: Vec<u8>,
    chunk: Vec<u8>,
    /// How many bytes are kept.
    limit: usize,
    /// How many bytes have come.
    total: usize,
    is_closed: bool,
}

impl Stream {
    /// Reads from `pipe` and keeps at most `limit` bytes.
    ///
    /// # Errors
    /// The pipe could not be made non-blocking.
    pub fn new(pipe: OwnedFd, limit: usize) -> io::Result<Self> {
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            pipe: pipe.into(),
            buffer: Vec::new(),
            chunk: vec![0; CHUNK],
            limit,
            total: 0,
            is_closed: false,
        })
    }

    /// Makes a pipe: the writing end for a child, and the stream that reads from the other end.
    ///
    /// # Errors
    /// No pipe could be made.
    pub fn pipe(limit: usize) -> io::Result<(OwnedFd, Self)> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        Ok((writer, Self::new(reader, limit)?))
    }

    /// Makes a pair of sockets: one end for a child, and the stream that reads from the other end
    /// and can answer.
    ///
    /// # Errors
    /// No sockets could be made.
    pub fn socket(limit: usize) -> io::Result<(OwnedFd, Self)> {
        let (near, far) = UnixStream::pair()?;
        Ok((far.into(), Self::new(near.into(), limit)?))
    }

    /// Sends one byte to the child, whose end must be a socket.
    ///
    /// # Errors
    /// The child has gone.
    pub fn answer(&mut self) -> io::Result<()> {
        self.pipe.write_all(b"\n")
    }

    /// Reads once. Bytes beyond the limit are counted and thrown away.
    ///
    /// # Errors
    /// The pipe could not be read.
    pub fn fill(&mut self) -> io::Result<()> {
        match self.pipe.read(&mut self.chunk) {
            Ok(0) => self.is_closed = true,
            Ok(count) => {
                self.total += count;
                let room = self.limit.saturating_sub(self.buffer.len());
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

    /// Reads until the pipe is empty.
    ///
    /// # Errors
    /// The pipe could not be read.
    pub fn drain(&mut self) -> io::Result<()> {
        loop {
            let before = self.total;
            self.fill()?;
            if self.is_closed || self.total == before {
                return Ok(());
            }
        }
    }

    /// Takes the next whole line, without its newline. Bytes that aren't UTF-8 are replaced.
    pub fn take_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n')?;
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        Some(String::from_utf8_lossy(&line[..end]).into_owned())
    }

    /// The kept text that [`Stream::take_line`] hasn't taken.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Whether all writers have closed the pipe.
    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Whether more bytes came than are kept.
    pub fn has_overflowed(&self) -> bool {
        self.total > self.limit
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

#[cfg(test)]
mod tests {
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
        assert!(stream.is_closed());
        assert!(stream.has_overflowed());
        assert_eq!(stream.text().len(), 16);
    }
}
