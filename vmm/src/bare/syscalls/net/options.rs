//! The options of a socket (socket(7), tcp(7)).

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_int};

/// What a number of an option may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 0, or 1 for any other number.
    Flag,
    /// Any number.
    Number,
    /// The bytes of a buffer, of which Linux gives twice as many as are asked for.
    Bytes,
}

/// The options that are a number: the level, the name, what the number may be, and the number of a
/// new socket on Linux. The size of a buffer and the words of a header change nothing here.
const NUMBERS: [(c_int, c_int, Kind, c_int); 20] = [
    (libc::SOL_SOCKET, libc::SO_REUSEADDR, Kind::Flag, 0),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT, Kind::Flag, 0),
    (libc::SOL_SOCKET, libc::SO_KEEPALIVE, Kind::Flag, 0),
    (libc::SOL_SOCKET, libc::SO_BROADCAST, Kind::Flag, 0),
    (libc::SOL_SOCKET, libc::SO_OOBINLINE, Kind::Flag, 0),
    (libc::SOL_SOCKET, libc::SO_DONTROUTE, Kind::Flag, 0),
    (libc::SOL_SOCKET, libc::SO_PRIORITY, Kind::Number, 0),
    (libc::SOL_SOCKET, libc::SO_RCVBUF, Kind::Bytes, 131_072),
    (libc::SOL_SOCKET, libc::SO_SNDBUF, Kind::Bytes, 16_384),
    (libc::IPPROTO_TCP, libc::TCP_NODELAY, Kind::Flag, 0),
    (libc::IPPROTO_TCP, libc::TCP_CORK, Kind::Flag, 0),
    (libc::IPPROTO_TCP, libc::TCP_QUICKACK, Kind::Flag, 1),
    (libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, Kind::Number, 7200),
    (libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, Kind::Number, 75),
    (libc::IPPROTO_TCP, libc::TCP_KEEPCNT, Kind::Number, 9),
    (libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, Kind::Number, 0),
    (libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, Kind::Number, 0),
    (libc::IPPROTO_TCP, libc::TCP_FASTOPEN, Kind::Number, 0),
    (libc::IPPROTO_IP, libc::IP_TOS, Kind::Number, 0),
    (libc::IPPROTO_IP, libc::IP_TTL, Kind::Number, 64),
];

/// The least and the most bytes of a buffer (`SOCK_MIN_SNDBUF`, `/proc/sys/net/core/rmem_max`).
const BUFFER: (c_int, c_int) = (4608, 425_984);

/// The value of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Value {
    /// An `int`.
    Number(c_int),
    /// Two `int`s: whether, and how long (`struct linger`).
    Linger(c_int, c_int),
    /// A time (`struct timeval`). Zero is no limit.
    Time(Duration),
}

/// The options of a socket.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Options {
    numbers: BTreeMap<(c_int, c_int), c_int>,
    linger: (c_int, c_int),
    receive_limit: Duration,
    send_limit: Duration,
}

impl Options {
    /// An option's value. The result is `None` if there is no such option, or it is no number of
    /// the program's own choice.
    pub fn get(&self, level: c_int, name: c_int) -> Option<Value> {
        if level == libc::SOL_SOCKET {
            match name {
                libc::SO_LINGER => return Some(Value::Linger(self.linger.0, self.linger.1)),
                libc::SO_RCVTIMEO => return Some(Value::Time(self.receive_limit)),
                libc::SO_SNDTIMEO => return Some(Value::Time(self.send_limit)),
                _ => {}
            }
        }
        self.number(level, name).map(Value::Number)
    }

    fn number(&self, level: c_int, name: c_int) -> Option<c_int> {
        let set = self.numbers.get(&(level, name)).copied();
        set.or_else(|| known(level, name).map(|(_, by_default)| by_default))
    }

    /// Sets an option.
    ///
    /// # Errors
    /// `ENOPROTOOPT`: there is no such option.
    pub fn set(&mut self, level: c_int, name: c_int, value: Value) -> Result<(), Errno> {
        match (name, value) {
            (libc::SO_LINGER, Value::Linger(on, seconds)) => self.linger = (on, seconds),
            (libc::SO_RCVTIMEO, Value::Time(limit)) => self.receive_limit = limit,
            (libc::SO_SNDTIMEO, Value::Time(limit)) => self.send_limit = limit,
            (_, Value::Number(number)) => {
                let (kind, _) = known(level, name).ok_or(Errno::ENOPROTOOPT)?;
                let number = match kind {
                    Kind::Flag => c_int::from(number != 0),
                    Kind::Number => number,
                    Kind::Bytes => number.saturating_mul(2).clamp(BUFFER.0, BUFFER.1),
                };
                self.numbers.insert((level, name), number);
            }
            _ => return Err(Errno::ENOPROTOOPT),
        }
        Ok(())
    }

    /// Whether a flag is set.
    pub fn has(&self, level: c_int, name: c_int) -> bool {
        self.number(level, name).is_some_and(|number| number != 0)
    }

    /// The time of silence after which the other end is asked whether it is there.
    pub fn keep_alive(&self) -> Option<Duration> {
        let seconds = self.number(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE)?;
        let is_on = self.has(libc::SOL_SOCKET, libc::SO_KEEPALIVE);
        let seconds = u64::try_from(seconds).ok().filter(|_| is_on)?;
        Some(Duration::from_secs(seconds.max(1)))
    }

    /// Whether the socket's end throws away what was not sent.
    pub fn ends_abruptly(&self) -> bool {
        self.linger.0 != 0 && self.linger.1 == 0
    }

    /// How long a read waits, if there is a limit.
    pub fn receive_limit(&self) -> Option<Duration> {
        Some(self.receive_limit).filter(|limit| !limit.is_zero())
    }

    /// How long a write waits, if there is a limit.
    pub fn send_limit(&self) -> Option<Duration> {
        Some(self.send_limit).filter(|limit| !limit.is_zero())
    }
}

fn known(level: c_int, name: c_int) -> Option<(Kind, c_int)> {
    let mut numbers = NUMBERS.iter();
    numbers
        .find(|known| (known.0, known.1) == (level, name))
        .map(|known| (known.2, known.3))
}
