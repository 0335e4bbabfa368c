//! Files that exist only between the threads of the program: pipes, pairs of sockets, counters,
//! timers, signals to read, and lists of watched files; and the sockets, by which alone the program
//! reaches anybody else.

mod counter;
mod pipe;
mod timer_file;
mod watch_list;

use nix::libc::c_short;
use slab::Slab;

use super::net::Net;

pub(in crate::bare::syscalls) use counter::Counter;
pub(in crate::bare::syscalls) use pipe::{PIPE_BYTES, Pipe, PipeKind};
pub(in crate::bare::syscalls) use timer_file::TimerFile;
pub(in crate::bare::syscalls) use watch_list::{Watch, WatchList};

/// What an open file of the program's own is. The numbers are places in [`OwnFiles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bare::syscalls) enum OwnFile {
    /// An end of a pipe, or of a pair of sockets, which is two pipes.
    Stream {
        /// The pipe that the file reads.
        reads: Option<usize>,
        /// The pipe that the file writes.
        writes: Option<usize>,
    },
    /// A counter (eventfd(2)).
    Counter(usize),
    /// A timer (`timerfd_create(2)`).
    Timer(usize),
    /// Signals to read (signalfd(2)).
    Signals(usize),
    /// A list of watched files (epoll(7)).
    WatchList(usize),
    /// A socket of the network (socket(2)).
    Socket(usize),
}

impl OwnFile {
    /// Whether the file is a socket, of the network or of a pair.
    pub fn is_socket(self) -> bool {
        matches!(
            self,
            Self::Socket(_)
                | Self::Stream {
                    reads: Some(_),
                    writes: Some(_),
                }
        )
    }
}

/// All files of the program's own.
#[derive(Debug, Default)]
pub(in crate::bare::syscalls) struct OwnFiles {
    pub pipes: Slab<Pipe>,
    pub counters: Slab<Counter>,
    pub timers: Slab<TimerFile>,
    /// The sets of signals.
    pub signals: Slab<u64>,
    pub watch_lists: Slab<WatchList>,
    /// The number of looks at watched files.
    pub looks: u64,
    /// The network, with its sockets.
    pub net: Net,
}

impl OwnFiles {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pipes.is_empty()
            && self.counters.is_empty()
            && self.timers.is_empty()
            && self.signals.is_empty()
            && self.watch_lists.is_empty()
            && self.net.is_empty()
    }

    /// Notes for each socket whose other end was closed with bytes unread that the connection was
    /// reset, as unix(7) sockets on Linux do.
    pub fn reset_sockets(&mut self, open: &[OwnFile]) {
        for file in open {
            let OwnFile::Stream {
                reads: Some(reads),
                writes: Some(writes),
            } = *file
            else {
                continue;
            };
            let is_read = |file: &OwnFile| matches!(file, OwnFile::Stream { reads, .. } if *reads == Some(writes));
            if !open.iter().any(is_read) && !self.pipes[writes].is_empty() {
                self.pipes[writes].clear();
                self.pipes[reads].is_reset = true;
            }
        }
    }

    /// Forgets the files that no descriptor leads to. `open` are those that one does.
    pub fn retain(&mut self, open: &[OwnFile]) {
        let has = |wanted: OwnFile| open.contains(&wanted);
        self.pipes.retain(|id, _| {
            open.iter().any(|file| {
                matches!(file, OwnFile::Stream { reads, writes }
                    if *reads == Some(id) || *writes == Some(id))
            })
        });
        self.counters.retain(|id, _| has(OwnFile::Counter(id)));
        self.timers.retain(|id, _| has(OwnFile::Timer(id)));
        self.signals.retain(|id, _| has(OwnFile::Signals(id)));
        self.watch_lists.retain(|id, _| has(OwnFile::WatchList(id)));
        self.net.retain(|id| has(OwnFile::Socket(id)));
    }
}

/// Whether a file is ready, and how often it became so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::bare::syscalls) struct Readiness {
    /// The `poll` events.
    pub events: c_short,
    /// A number that grows with each arrival of something to read, and with each room to write: an
    /// edge of `EPOLLET`.
    pub edge: u64,
}
