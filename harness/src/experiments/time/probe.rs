//! Whether a program answers at a port: tries in short steps, each of which never blocks.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags};
use nix::sys::socket::sockopt::{Linger, SocketError};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, connect, getsockopt, setsockopt, socket,
};
use nix::unistd::{read, write};

use super::reach::Place;
use crate::host::clock::MonotonicTime;
use crate::timing::ready::ReadyCondition;

/// The time between the beginnings of two tries. A program can be ready for so long before the
/// harness knows.
pub(super) const PERIOD: Duration = Duration::from_millis(1);
/// How long one try may take. A server may take a connection long before it answers.
const TRY_LIMIT: Duration = Duration::from_secs(1);
/// How much of an answer is read: its status line is at the beginning.
const ANSWER: usize = 64;

/// Tries to reach a program.
#[derive(Debug)]
pub(super) struct Probe {
    port: u16,
    /// The request, if an answer is awaited.
    request: Option<String>,
    attempt: Option<Attempt>,
    /// When the next attempt begins.
    next: Instant,
}

/// One try.
#[derive(Debug)]
struct Attempt {
    socket: OwnedFd,
    stage: Stage,
    until: Instant,
}

#[derive(Debug)]
enum Stage {
    Connecting,
    Answering(Vec<u8>),
}

/// What came of a step.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Ready,
    Waiting,
    Refused,
}

impl Probe {
    /// A probe for `condition`; `None` if the condition is about no port.
    pub fn new(condition: &ReadyCondition) -> Option<Self> {
        let port = condition.port()?;
        let request = match condition {
            ReadyCondition::Http { path, .. } => Some(format!(
                "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
            )),
            _ => None,
        };
        Some(Self {
            port,
            request,
            attempt: None,
            next: Instant::now(),
        })
    }

    /// What to wait for before the next step.
    pub fn awaited(&self) -> (Option<PollFd<'_>>, Instant) {
        match &self.attempt {
            None => (None, self.next),
            Some(attempt) => {
                let flags = match attempt.stage {
                    Stage::Connecting => PollFlags::POLLOUT,
                    Stage::Answering(_) => PollFlags::POLLIN,
                };
                (
                    Some(PollFd::new(attempt.socket.as_fd(), flags)),
                    attempt.until,
                )
            }
        }
    }

    /// Goes on with the try, or begins the next at `place`. Returns the time at which the program
    /// was known to be ready.
    ///
    /// # Errors
    /// The harness can make no socket.
    pub fn step(&mut self, place: Place) -> io::Result<Option<MonotonicTime>> {
        let outcome = match self.attempt.take() {
            Some(attempt) => self.go_on(attempt),
            None if Instant::now() >= self.next => self.begin(place)?,
            None => Outcome::Waiting,
        };
        if outcome == Outcome::Refused {
            self.attempt = None;
        }
        Ok((outcome == Outcome::Ready).then(MonotonicTime::now))
    }

    fn begin(&mut self, place: Place) -> io::Result<Outcome> {
        let begun = Instant::now();
        self.next = begun + PERIOD;
        let socket = match place.namespaces {
            Some((inside, own)) => inside.inside(own, new_socket)?,
            None => new_socket()?,
        };
        let address = SocketAddrV4::new(place.address, self.port);
        let result = connect(socket.as_raw_fd(), &SockaddrIn::from(address));
        let attempt = Attempt {
            socket,
            stage: Stage::Connecting,
            until: begun + TRY_LIMIT,
        };
        match result {
            Ok(()) => Ok(self.connected(attempt)),
            Err(Errno::EINPROGRESS) => Ok(self.wait_with(attempt)),
            Err(_) => Ok(Outcome::Refused),
        }
    }

    fn go_on(&mut self, mut attempt: Attempt) -> Outcome {
        match &mut attempt.stage {
            Stage::Connecting => match getsockopt(&attempt.socket, SocketError) {
                Ok(0) if Instant::now() < attempt.until => self.connected(attempt),
                _ => Outcome::Refused,
            },
            Stage::Answering(answer) => {
                let mut chunk = [0; ANSWER];
                match read(&attempt.socket, &mut chunk) {
                    Ok(0) => return Outcome::Refused,
                    Ok(count) => answer.extend_from_slice(&chunk[..count]),
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    Err(_) => return Outcome::Refused,
                }
                match is_success(answer) {
                    Some(true) => Outcome::Ready,
                    None if Instant::now() < attempt.until => self.wait_with(attempt),
                    Some(false) | None => Outcome::Refused,
                }
            }
        }
    }

    /// Goes on after the connection has been made.
    fn connected(&mut self, mut attempt: Attempt) -> Outcome {
        let Some(request) = &self.request else {
            return Outcome::Ready;
        };
        // A request is far smaller than a socket's buffer, so all of it is taken.
        if write(&attempt.socket, request.as_bytes()) != Ok(request.len()) {
            return Outcome::Refused;
        }
        attempt.stage = Stage::Answering(Vec::new());
        self.wait_with(attempt)
    }

    fn wait_with(&mut self, attempt: Attempt) -> Outcome {
        self.attempt = Some(attempt);
        Outcome::Waiting
    }
}

/// A socket that never blocks. Its end is a reset, so that the program's port isn't kept busy for
/// the next sample by a connection in `TIME_WAIT`.
fn new_socket() -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(&socket, Linger, &linger)?;
    Ok(socket)
}

/// Whether an HTTP answer begins with a status of 200 to 299 (RFC 9112, section 4); `None` if too
/// little of the answer has come.
fn is_success(answer: &[u8]) -> Option<bool> {
    const VERSION: &[u8] = b"HTTP/1.";
    let common = answer.len().min(VERSION.len());
    if answer[..common] != VERSION[..common] {
        return Some(false);
    }
    match answer.get(VERSION.len()..VERSION.len() + 5)? {
        [_, b' ', b'2', tens, units] => Some(tens.is_ascii_digit() && units.is_ascii_digit()),
        _ => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener};

    use nix::poll::{PollTimeout, poll};

    use super::*;

    /// Serves one answer to each connection, in order, and returns how many it took until the
    /// probe is ready; `None` if it never is.
    fn tries(condition: &str, answers: &'static [&'static str]) -> Option<usize> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let _ = stream.read(&mut request);
                for piece in answer.split_inclusive('|') {
                    let _ = stream.write_all(piece.trim_end_matches('|').as_bytes());
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            answers.len()
        });
        let condition = condition
            .replace("PORT", &port.to_string())
            .parse()
            .unwrap();
        let mut probe = Probe::new(&condition).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if probe.step(Place::LOOPBACK).unwrap().is_some() {
                return Some(server.join().unwrap());
            }
            if server.is_finished() {
                return None;
            }
            let (socket, until) = probe.awaited();
            let mut polled: Vec<_> = socket.into_iter().collect();
            let left = until.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            poll(&mut polled, PollTimeout::try_from(left).unwrap()).unwrap();
        }
        panic!("the server never ended")
    }

    #[test]
    fn the_first_status_of_success_counts() {
        assert_eq!(tries("http=PORT/", &["HTTP/1.1 200 OK\r\n\r\n"]), Some(1));
        let late: &[_] = &["HTTP/1.0 503 No\r\n\r\n", "garbage", "HTTP/1.1| 20|4 x"];
        assert_eq!(tries("http=PORT/", late), Some(3));
        assert_eq!(
            tries("http=PORT/", &["", "HTTP/2 200", "HTTP/1.1 302 Found"]),
            None
        );
        assert_eq!(tries("tcp=PORT", &[""]), Some(1));
    }

    #[test]
    fn a_closed_port_is_tried_again_after_the_period() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let condition = format!("tcp={port}").parse().unwrap();
        let mut probe = Probe::new(&condition).unwrap();
        let begun = Instant::now();
        assert_eq!(probe.step(Place::LOOPBACK).unwrap(), None);
        // On a busy host the refusal comes a little later than the try.
        while let (Some(socket), _) = probe.awaited() {
            poll(&mut [socket], PollTimeout::from(100_u16)).unwrap();
            assert_eq!(probe.step(Place::LOOPBACK).unwrap(), None);
        }
        assert!(probe.awaited().1 >= begun + PERIOD);
    }
}
