//! The host's end of an instance's connection: bounded in time and amount, whatever the instance does.
//!
//! Calls block, because to wait for readiness first would be a second system call within each round trip; their
//! timeouts are short, and between two of them the run's interrupt and the sample's deadline are looked at.

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

/// How long one call may block before the deadline is looked at.
const TICK: Duration = Duration::from_millis(50);
/// Connections that wait to be accepted.
const BACKLOG: i32 = 64;
/// Bytes of one read or write of a throughput; the workload's are as large.
pub const BLOCK: usize = 128 * 1024;

/// The network, or the instance on the other end of it, did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No socket for the instance to connect to.
    #[error("cannot listen on {address} for the instance")]
    Listen {
        /// Where.
        address: IpAddr,
        /// Why.
        source: io::Error,
    },
    /// A socket failed.
    #[error("the connection with the instance failed")]
    Connection(#[from] io::Error),
    /// It took too long.
    #[error("no {awaited} from the instance within {limit:?}")]
    Timeout {
        /// What was waited for.
        awaited: &'static str,
        /// For how long.
        limit: Duration,
    },
    /// The instance closed its connection.
    #[error("the instance closed its connection before its {awaited}")]
    Closed {
        /// What was waited for.
        awaited: &'static str,
    },
    /// The instance sent what nobody asked for.
    #[error("the instance sent more than it was asked for")]
    TooMuch,
    /// A byte did not come back as it was sent.
    #[error("the instance answered with another byte than it was sent")]
    OtherByte,
    /// The user stopped the run.
    #[error("interrupted")]
    Interrupted,
}

/// How long to wait, and for what to stop waiting.
#[derive(Debug, Clone, Copy)]
struct Patience<'i> {
    limit: Duration,
    deadline: Instant,
    interrupt: &'i Interrupt,
}

impl Patience<'_> {
    /// Repeats `call` until it is through, fails, or the time is up.
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

/// A socket that one instance is to connect to.
#[derive(Debug)]
pub struct HostEnd<'i> {
    listener: TcpListener,
    address: SocketAddr,
    patience: Patience<'i>,
}

impl<'i> HostEnd<'i> {
    /// Listens on `address`, which need not be the host's yet: an instance's launcher may bring it. All that follows
    /// has to be over within `limit`.
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
            patience: Patience {
                limit,
                deadline: Instant::now() + limit,
                interrupt,
            },
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes the next connection.
    ///
    /// # Errors
    /// Any [`NetError`] but [`NetError::Listen`].
    pub fn accept(&self) -> Result<TcpStream, NetError> {
        let accepted = self
            .patience
            .wait("connection", || self.listener.accept())?;
        Ok(accepted.0)
    }

    /// Takes the instance's first connection.
    ///
    /// # Errors
    /// Any [`NetError`] but [`NetError::Listen`].
    pub fn line(&self) -> Result<Line<'i>, NetError> {
        let stream = self.accept()?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        Ok(Line {
            stream,
            patience: self.patience,
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
    let tick = TimeVal::milliseconds(i64::try_from(TICK.as_millis()).unwrap_or(i64::MAX));
    Ok(setsockopt(socket, ReceiveTimeout, &tick)?)
}

/// The first connection of an instance, over which work is ordered and done.
#[derive(Debug)]
pub struct Line<'i> {
    stream: TcpStream,
    patience: Patience<'i>,
}

impl Line<'_> {
    /// Writes one byte.
    ///
    /// # Errors
    /// As all of these methods: any [`NetError`] but [`NetError::Listen`].
    pub fn put(&mut self, byte: u8) -> Result<(), NetError> {
        let stream = &mut self.stream;
        let written = self
            .patience
            .wait("intake of bytes", || stream.write(&[byte]))?;
        if written == 1 {
            Ok(())
        } else {
            Err(NetError::Closed {
                awaited: "intake of bytes",
            })
        }
    }

    /// Reads one byte.
    pub fn take(&mut self, awaited: &'static str) -> Result<u8, NetError> {
        let mut byte = [0];
        match self.read(awaited, &mut byte)? {
            0 => Err(NetError::Closed { awaited }),
            _ => Ok(byte[0]),
        }
    }

    /// Writes `bytes` bytes.
    pub fn pour(&mut self, buffer: &[u8], bytes: u64) -> Result<(), NetError> {
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            let stream = &mut self.stream;
            let written = self
                .patience
                .wait("intake of bytes", || stream.write(&buffer[..most]))?;
            left -= written as u64;
        }
        Ok(())
    }

    /// Reads `bytes` bytes.
    pub fn drain(&mut self, buffer: &mut [u8], bytes: u64) -> Result<(), NetError> {
        const AWAITED: &str = "last byte";
        let mut left = bytes;
        while left > 0 {
            let most = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(buffer.len());
            match self.read(AWAITED, &mut buffer[..most])? {
                0 => return Err(NetError::Closed { awaited: AWAITED }),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    /// Waits for the instance to close it, without another byte.
    pub fn finish(mut self) -> Result<(), NetError> {
        match self.read("end of the connection", &mut [0]) {
            // A reset closes as well.
            Ok(0) | Err(NetError::Closed { .. }) => Ok(()),
            Ok(_) => Err(NetError::TooMuch),
            Err(error) => Err(error),
        }
    }

    fn read(&mut self, awaited: &'static str, buffer: &mut [u8]) -> Result<usize, NetError> {
        let stream = &mut self.stream;
        self.patience.wait(awaited, || stream.read(buffer))
    }
}
