//! Whether files of the program's own are ready, and who has to hear of a change.

use nix::libc::{self, c_short};

use super::Personality;
use super::own_files::{OwnFile, Readiness};

impl Personality {
    /// Whether somebody may still write to a pipe.
    pub(super) fn has_writer(&self, pipe: usize) -> bool {
        self.descriptors
            .own_files()
            .any(|file| matches!(file, OwnFile::Stream { writes, .. } if writes == Some(pipe)))
    }

    /// Whether nothing that is written to a pipe will ever be read.
    pub(super) fn is_broken(&self, pipe: usize) -> bool {
        self.own.pipes[pipe].is_shut || !self.has_reader(pipe)
    }

    /// Whether somebody may still read from a pipe.
    pub(super) fn has_reader(&self, pipe: usize) -> bool {
        self.descriptors
            .own_files()
            .any(|file| matches!(file, OwnFile::Stream { reads, .. } if reads == Some(pipe)))
    }

    /// Forgets the files that the program has closed, and tells those that wait for the other end.
    pub(super) fn forget_closed(&mut self) {
        if self.own.is_empty() {
            return;
        }
        let open: Vec<OwnFile> = self.descriptors.own_files().collect();
        self.own.reset_sockets(&open);
        self.own.retain(&open);
        for (_, list) in &mut self.own.watch_lists {
            list.watches
                .retain(|&(_, open), _| self.descriptors.open_file(open).is_some());
        }
        self.wake_watchers(|_| true);
    }

    /// Makes the threads that wait for one of the files make their calls again.
    pub(super) fn wake_watchers(&mut self, has_changed: impl Fn(OwnFile) -> bool) {
        let is_list = |file: OwnFile| matches!(file, OwnFile::WatchList(_));
        self.threads
            .wake_for_files(|_, own| own.iter().any(|&file| is_list(file) || has_changed(file)));
    }

    /// Whether a file of the program's own is ready.
    pub(super) fn own_readiness(&self, own: OwnFile) -> Readiness {
        match own {
            OwnFile::Stream { reads, writes } => self.stream_readiness(reads, writes),
            OwnFile::Counter(id) => self.own.counters[id].readiness(),
            OwnFile::Timer(id) => self.own.timers[id].readiness(),
            OwnFile::Signals(id) => {
                let pending = self.pending_signals() & self.own.signals[id];
                Readiness {
                    events: if pending == 0 { 0 } else { libc::POLLIN },
                    edge: pending,
                }
            }
            OwnFile::WatchList(id) => Readiness {
                events: if self.has_event(id) { libc::POLLIN } else { 0 },
                edge: 0,
            },
            OwnFile::Socket(id) => {
                let stack = self.own.net.look();
                stack.map_or(Readiness::default(), |stack| Readiness {
                    events: stack.events(id),
                    edge: stack.edge(id),
                })
            }
        }
    }

    fn stream_readiness(&self, reads: Option<usize>, writes: Option<usize>) -> Readiness {
        let mut events: c_short = 0;
        let mut edge = 0;
        let is_socket = reads.is_some() && writes.is_some();
        if let Some(id) = reads {
            let pipe = &self.own.pipes[id];
            let ends = pipe.is_shut || !self.has_writer(id);
            if !pipe.is_empty() || (ends && is_socket) {
                events |= libc::POLLIN | libc::POLLRDNORM;
            }
            if pipe.is_reset {
                events |= libc::POLLERR;
            }
            if ends {
                events |= libc::POLLHUP | if is_socket { libc::POLLRDHUP } else { 0 };
            }
            edge += pipe.arrivals() + u64::from(ends);
        }
        if let Some(id) = writes {
            let pipe = &self.own.pipes[id];
            let is_broken = !self.has_reader(id);
            if pipe.is_writable() {
                events |= libc::POLLOUT | libc::POLLWRNORM;
            }
            if is_broken && !is_socket {
                events |= libc::POLLERR;
            }
            edge += pipe.departures() + u64::from(is_broken);
        }
        Readiness { events, edge }
    }
}

/// Whether a change of one file concerns who waits for another: the same one, or the other end.
pub(super) fn concerns(watched: OwnFile, changed: OwnFile) -> bool {
    match (watched, changed) {
        (
            OwnFile::Stream { reads, writes },
            OwnFile::Stream {
                reads: other_reads,
                writes: other_writes,
            },
        ) => {
            let same = |a: Option<usize>, b: Option<usize>| a.is_some() && a == b;
            same(reads, other_writes)
                || same(writes, other_reads)
                || same(reads, other_reads)
                || same(writes, other_writes)
        }
        _ => watched == changed,
    }
}
