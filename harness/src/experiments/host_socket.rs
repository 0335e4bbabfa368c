//! The host's end of an instance's connections. Time and amount are bounded, whatever the instance
//! does.
//!
//! Calls block, because a wait for readiness would be a second system call within each round trip.
//! The calls have short timeouts. Between two calls, the run's interrupt and the sample's deadline
//! are checked.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _};
use std::time::{Duration, Instant};

use nix::sys::socket::sockopt::{IpFreebind, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike as _};

use crate::host::interrupt::Interrupt;

/// How long one call may block before the deadline is checked.
const CALL_TIMEOUT: Duration = Duration::from_millis(50);
/// The number of connections that may wait to be accepted.
const BACKLOG: i32 = 64;
/// The size of one read or write when throughput is measured, in bytes. The workload uses the same
/// size.
pub const BLOCK: usize = 128 * 1024;

/// The network failed, or the instance at its other end did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The host can't listen for the instance.
    #[error("cannot listen on {address} for the instance")]
    Listen {
        /// The address to listen on.
        address: IpAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A socket failed.
    #[error("the connection with the instance failed")]
    Connection(#[from] io::Error),
    /// The instance took too long.
    #[error("no {awaited} from the instance within {limit:?}")]
    Timeout {
        /// What the host waited for.
        awaited: &'static str,
        /// How long the host waited.
        limit: Duration,
    },
    /// The instance closed its connection too early.
    #[error("the instance closed its connection before its {awaited}")]
    Closed {
        /// What the host waited for.
        awaited: &'static str,
    },
    /// The instance sent more bytes than the host had requested.
    #[error("the instance sent more bytes than the host had requested")]
    TooMuch,
    /// The instance returned another byte than the host had sent.
    #[error("the instance returned another byte than the host had sent")]
    OtherByte,
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

/// When the calls of one sample have to end.
#[derive(Debug, Clone, Copy)]
struct CallLimit<'i> {
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl CallLimit<'_> {
    /// Repeats `call` after each timeout, until the call succeeds or fails, the deadline has
    /// passed, or a stop is requested.
    fn wait<T>(
        self,
        awaited: &'static str,
        mut call: impl FnMut() -> io::Result<T>,
    ) -> Result<T, NetError> {
        loop {
            match call() {
                Err(error) if is_timeout(&error) => {}
                Err(error) if is_closed(&error) => return Err(NetError::Closed { awaited }),
                other => return Ok(other?),
            }
            if self.interrupt.stop_requested() {
                return Err(NetError::Interrupted);
            }
            if Instant::now() >= self.deadline {
                let limit = self.limit;
                return Err(NetError::Timeout { awaited, limit });
            }
        }
    }
}

fn is_timeout(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset
    )
}

/// A listening socket, to which one instance connects.
#[derive(Debug)]
pub struct HostSocket<'i> {
    listener: TcpListener,
    address: SocketAddr,
    call_limit: CallLimit<'i>,
}

impl<'i> HostSocket<'i> {
    /// Listens on `address`. No interface of the host needs to have the address yet, because an
    /// instance's launcher may make that interface. All later calls together may take `limit`.
    ///
    /// # Errors
    /// [`NetError::Listen`]
    pub fn listen(
        address: IpAddr,
        limit: Duration,
        interrupt: &'i Interrupt,
    ) -> Result<Self, NetError> {
        let listener = listener(address).map_err(|source| NetError::Listen { address, source })?;
        let bound = listener
            .local_addr()
            .map_err(|source| NetError::Listen { address, source })?;
        Ok(Self {
            listener,
            address: bound,
            call_limit: CallLimit {
                limit,
                deadline: Instant::now() + limit,
                interrupt,
            },
        })
    }

    /// The address and port of the socket.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// Any [`NetError`] but [`NetError::Listen`].
    pub fn accept(&self) -> Result<TcpStream, NetError> {
        let accepted = self
            .call_limit
            .wait("connection", || self.listener.accept())?;
        Ok(accepted.0)
    }

    /// Accepts the instance's first connection.
    ///
    /// # Errors
    /// Any [`NetError`] but [`NetError::Listen`].
    pub fn accept_first(&self) -> Result<InstanceConnection<'i>, NetError> {
        let stream = self.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(CALL_TIMEOUT))?;
        stream.set_write_timeout(Some(CALL_TIMEOUT))?;
        Ok(InstanceConnection {
            stream,
            call_limit: self.call_limit,
        })
    }
}

fn listener(address: IpAddr) -> io::Result<TcpListener> {
    let family = match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, IpFreebind, &true)?;
    let place: SockaddrStorage = SocketAddr::new(address, 0).into();
    bind(socket.as_raw_fd(), &place)?;
    listen(&socket, Backlog::new(BACKLOG)?)?;
    set_accept_timeout(&socket)?;
    Ok(socket.into())
}

fn set_accept_timeout(socket: &impl AsFd) -> io::Result<()> {
    let milliseconds = i64::try_from(CALL_TIMEOUT.as_millis()).unwrap_or(i64::MAX);
    let timeout = TimeVal::milliseconds(milliseconds);
    Ok(setsockopt(socket, ReceiveTimeout, &timeout)?)
}

/// The first connection of an instance. The host starts the work through this connection, and most
/// work uses the same connection.
#[derive(Debug)]
pub struct InstanceConnection<'i> {
    stream: TcpStream,
    call_limit: CallLimit<'i>,
}

impl InstanceConnection<'_> {
    /// Writes one byte.
    ///
    /// # Errors
    /// Any [`NetError`] but [`NetError::Listen`], as with all methods of this type.
    pub fn write_byte(&mut self, byte: u8) -> Result<(), NetError> {
        let stream = &mut self.stream;
        let written = self
            .call_limit
            .wait(READ_OF_BYTES, || stream.write(&[byte]))?;
        if written == 1 {
            Ok(())
        } else {
            Err(NetError::Closed {
                awaited: READ_OF_BYTES,
            })
        }
    }

    /// Reads one byte.
    pub fn read_byte(&mut self, awaited: &'static str) -> Result<u8, NetError> {
        let mut byte = [0];
        match self.read(awaited, &mut byte)? {
            0 => Err(NetError::Closed { awaited }),
            _ => Ok(byte[0]),
        }
    }

    /// Writes `bytes` bytes: the content of `buffer`, over and over.
    pub fn write_bytes(&mut self, buffer: &[u8], bytes: u64) -> Result<(), NetError> {
        let mut left = bytes;
        while left > 0 {
            let length = next_length(buffer, left);
            let stream = &mut self.stream;
            let written = self
                .call_limit
                .wait(READ_OF_BYTES, || stream.write(&buffer[..length]))?;
            left -= written as u64;
        }
        Ok(())
    }

    /// Reads `bytes` bytes into `buffer`, over and over.
    pub fn read_bytes(&mut self, buffer: &mut [u8], bytes: u64) -> Result<(), NetError> {
        const AWAITED: &str = "last byte";
        let mut left = bytes;
        while left > 0 {
            let length = next_length(buffer, left);
            match self.read(AWAITED, &mut buffer[..length])? {
                0 => return Err(NetError::Closed { awaited: AWAITED }),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    /// Waits until the instance closes the connection, without another byte.
    pub fn wait_until_closed(mut self) -> Result<(), NetError> {
        match self.read("end of the connection", &mut [0]) {
            // A reset closes the connection as well.
            Ok(0) | Err(NetError::Closed { .. }) => Ok(()),
            Ok(_) => Err(NetError::TooMuch),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, awaited: &'static str, buffer: &mut [u8]) -> Result<usize, NetError> {
        let stream = &mut self.stream;
        self.call_limit.wait(awaited, || stream.read(buffer))
    }
}

/// What the host waits for when it writes.
const READ_OF_BYTES: &str = "read of the sent bytes";

/// The length of the next read or write, if `left` bytes are left.
fn next_length(buffer: &[u8], left: u64) -> usize {
    usize::try_from(left)
        .unwrap_or(usize::MAX)
        .min(buffer.len())
}
