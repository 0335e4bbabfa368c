//! `net`: connects to the host by TCP, and sends, receives or answers as asked.
//!
//! **The two sides.** The workload is the client in every target, so that a target has to say only
//! how an instance finds the host. The workload's first connection is called the *line*. The host
//! opens the timed window by the first byte that it sends over the line, and the host measures the
//! time, at its own end of the socket.
//!
//! **The operations.**
//! - `receive`: reads `bytes` bytes, then answers with one byte. The host's clock stops when the
//!   answer arrives.
//! - `send`: waits for one byte, then writes `bytes` bytes.
//! - `echo`: sends each byte back that arrives, `count` times.
//! - `connect`: waits for one byte, then connects `count` times and waits each time for the host to
//!   close the connection.
//!
//! `TCP_NODELAY` is set, so that an answer of one byte is sent at once.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU64;
use std::time::Duration;

use bytesize::ByteSize;

use super::{WorkloadError, send};
use crate::protocol::Message;

/// The most bytes of one read or write when many bytes are moved.
const BLOCK: usize = 128 * 1024;

/// How long a connection may take to be made. The kernel sends the first packet again after a
/// second.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Work on the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    /// The address at which the host listens.
    pub peer: SocketAddr,
    /// The kind and the amount of work.
    pub operation: NetOperation,
}

/// A kind of work on the network, and its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetOperation {
    /// The workload receives this many bytes.
    Receive(ByteSize),
    /// The workload sends this many bytes.
    Send(ByteSize),
    /// The workload sends this many bytes back, one by one.
    Echo(NonZeroU64),
    /// The workload makes this many connections, one after the other.
    Connect(NonZeroU64),
}

impl Net {
    /// Does the work.
    pub(super) fn run(&self, output: &mut dyn Write) -> Result<(), WorkloadError> {
        let mut line = self.connect()?;
        let mut buffer = vec![0x5a; BLOCK];
        send(&Message::Begin, output)?;
        let (operations, bytes) = match self.operation {
            NetOperation::Receive(bytes) => (self.receive(&mut line, &mut buffer, bytes)?, bytes),
            NetOperation::Send(bytes) => (self.send(&mut line, &buffer, bytes)?, bytes),
            NetOperation::Echo(count) => (self.echo(&mut line, count)?, ByteSize(count.get())),
            NetOperation::Connect(count) => (self.reconnect(&mut line, count)?, ByteSize(0)),
        };
        // The host sees the end of the line before it receives the message that the work is done.
        drop(line);
        send(&Message::End { operations, bytes }, output)
    }

    fn connect(&self) -> Result<TcpStream, WorkloadError> {
        let stream = TcpStream::connect_timeout(&self.peer, CONNECT_LIMIT)
            .map_err(self.failed("connection"))?;
        stream
            .set_nodelay(true)
            .map_err(self.failed("TCP_NODELAY"))?;
        Ok(stream)
    }

    fn receive(
        &self,
        line: &mut TcpStream,
        buffer: &mut [u8],
        bytes: ByteSize,
    ) -> Result<u64, WorkloadError> {
        let (mut left, mut operations) = (bytes.as_u64(), 0);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            let read = line
                .read(&mut buffer[..most])
                .and_then(not_closed)
                .map_err(self.failed("read"))?;
            left -= read as u64;
            operations += 1;
        }
        line.write_all(&[1]).map_err(self.failed("write"))?;
        Ok(operations)
    }

    fn send(
        &self,
        line: &mut TcpStream,
        buffer: &[u8],
        bytes: ByteSize,
    ) -> Result<u64, WorkloadError> {
        self.await_byte(line)?;
        let (mut left, mut operations) = (bytes.as_u64(), 0);
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
            line.write_all(&buffer[..most])
                .map_err(self.failed("write"))?;
            left -= most as u64;
            operations += 1;
        }
        Ok(operations)
    }

    fn echo(&self, line: &mut TcpStream, count: NonZeroU64) -> Result<u64, WorkloadError> {
        for _ in 0..count.get() {
            let byte = self.await_byte(line)?;
            line.write_all(&byte).map_err(self.failed("write"))?;
        }
        Ok(count.get())
    }

    fn reconnect(&self, line: &mut TcpStream, count: NonZeroU64) -> Result<u64, WorkloadError> {
        self.await_byte(line)?;
        for _ in 0..count.get() {
            let mut connection = self.connect()?;
            let read = connection.read(&mut [0]).map_err(self.failed("read"))?;
            if read > 0 {
                return Err(self.failed("read")(io::ErrorKind::InvalidData.into()));
            }
        }
        Ok(count.get())
    }

    fn await_byte(&self, line: &mut TcpStream) -> Result<[u8; 1], WorkloadError> {
        let mut byte = [0];
        line.read_exact(&mut byte).map_err(self.failed("read"))?;
        Ok(byte)
    }

    fn failed(&self, operation: &'static str) -> impl Fn(io::Error) -> WorkloadError + use<> {
        let peer = self.peer;
        move |source| WorkloadError::Net {
            operation,
            peer,
            source,
        }
    }
}

fn not_closed(read: usize) -> io::Result<usize> {
    if read == 0 {
        Err(io::ErrorKind::UnexpectedEof.into())
    } else {
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Runs `operation` with this host, and gives the messages of the workload.
    fn run(
        operation: NetOperation,
        host: impl FnOnce(TcpListener) + Send,
    ) -> Result<Vec<Message>, WorkloadError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| host(listener));
            let mut output = Vec::new();
            Net { peer, operation }.run(&mut output)?;
            let text = String::from_utf8(output).unwrap();
            Ok(text.lines().map(|line| line.parse().unwrap()).collect())
        })
    }

    fn count(count: u64) -> NonZeroU64 {
        NonZeroU64::new(count).unwrap()
    }

    #[test]
    fn the_bytes_received_are_told() {
        let amount = 3 * BLOCK + 17;
        let bytes = ByteSize(amount as u64);
        let said = run(NetOperation::Receive(bytes), |listener| {
            let (mut line, _) = listener.accept().unwrap();
            line.write_all(&vec![1; amount]).unwrap();
            line.read_exact(&mut [0]).unwrap();
        })
        .unwrap();
        assert!(
            matches!(said[..], [Message::Begin, Message::End { bytes: did, .. }] if did == bytes)
        );
    }

    #[test]
    fn the_bytes_sent_are_told() {
        let amount = 3 * BLOCK + 17;
        let bytes = ByteSize(amount as u64);
        let said = run(NetOperation::Send(bytes), |listener| {
            let (mut line, _) = listener.accept().unwrap();
            line.write_all(&[1]).unwrap();
            assert_eq!(line.read_to_end(&mut Vec::new()).unwrap(), amount);
        })
        .unwrap();
        assert_eq!(
            said[1],
            Message::End {
                operations: 4,
                bytes
            }
        );
    }

    #[test]
    fn every_byte_comes_back() {
        let said = run(NetOperation::Echo(count(100)), |listener| {
            let (mut line, _) = listener.accept().unwrap();
            for sent in 0..100 {
                line.write_all(&[sent]).unwrap();
                let mut received = [0];
                line.read_exact(&mut received).unwrap();
                assert_eq!(received, [sent]);
            }
        })
        .unwrap();
        let bytes = ByteSize(100);
        assert_eq!(
            said[1],
            Message::End {
                operations: 100,
                bytes
            }
        );
    }

    #[test]
    fn connections_are_made_one_after_the_other() {
        let said = run(NetOperation::Connect(count(20)), |listener| {
            let (mut line, _) = listener.accept().unwrap();
            line.write_all(&[1]).unwrap();
            for _ in 0..20 {
                drop(listener.accept().unwrap());
            }
        })
        .unwrap();
        let bytes = ByteSize(0);
        assert_eq!(
            said[1],
            Message::End {
                operations: 20,
                bytes
            }
        );
    }

    #[test]
    fn the_error_names_a_host_that_goes_away() {
        for operation in [
            NetOperation::Receive(ByteSize::kib(1)),
            NetOperation::Send(ByteSize::kib(1)),
            NetOperation::Echo(count(1)),
            NetOperation::Connect(count(1)),
        ] {
            let error = run(operation, |listener| drop(listener.accept())).unwrap_err();
            assert!(
                error.to_string().contains("127.0.0.1:"),
                "{operation:?}: {error}"
            );
        }
    }
}
