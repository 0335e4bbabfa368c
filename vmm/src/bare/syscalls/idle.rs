//! What a processor does when no thread can run: it sleeps in the host's kernel until one can.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_short};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::own_files::OwnFile;
use super::threads::{Condition, Resume, ThreadId, Wait};
use super::{Failure, Personality};
use crate::devices::console::{Stream, Streams};

/// Why no thread will run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Every thread waits for another one. On Linux the program would hang forever.
    Deadlock,
    /// The signal of a timer, with this number, has killed the program.
    Killed(u8),
}

/// The shortest sleep. Without it a timer with a tiny interval would keep the VMM busy.
const SHORTEST_SLEEP: Duration = Duration::from_micros(50);

impl Personality {
    /// What the host is to be watched for while no thread can run.
    ///
    /// # Errors
    /// No thread ever can run again.
    pub(crate) fn sleep(&mut self) -> Result<Watch, Stop> {
        let time = self.time_to_sleep()?;
        Ok(self.watch(time))
    }

    /// Lets the threads run that wait for `events`, or whose time is up.
    ///
    /// # Errors
    /// The signal of a timer kills the program.
    pub(crate) fn take(&mut self, events: &Events) -> Result<(), Stop> {
        self.serve_network();
        self.threads.wake_for_files(|streams, _| {
            streams.iter().any(|(stream, wanted)| {
                let ready = events.0.get(stream).copied().unwrap_or_default();
                // An error or a hang-up is told to everybody.
                ready & (wanted | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0
            })
        });
        self.threads.wake_for_time();
        self.count_timer_files();
        match self.expire_timers() {
            Err(Failure::Signal(signal)) => Err(Stop::Killed(signal)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// A number that changes whenever the host is to be watched for something that an earlier
    /// [`Self::sleep`] did not know of.
    pub(crate) fn wishes(&self) -> u64 {
        self.threads.wishes().wrapping_add(self.own.net.uses())
    }

    /// Makes the thread that runs next the current one. The result is `None` if every thread waits.
    pub fn choose_thread(&mut self) -> Option<(ThreadId, Resume)> {
        self.threads.choose()
    }

    /// Lets the threads run whose time is up or whose stream is ready, while others still run.
    ///
    /// # Errors
    /// The signal of a timer kills the program.
    pub(crate) fn look_around(&mut self) -> Result<(), Stop> {
        let events = self.watch(Some(Duration::ZERO)).wait(None);
        self.take(&events)?;
        self.threads.yield_now();
        Ok(())
    }

    /// How long nothing will happen but on the streams. Without an end the result is `None`.
    fn time_to_sleep(&mut self) -> Result<Option<Duration>, Stop> {
        let net_left = self.own.net.left();
        let has_sockets = !self.own.net.is_empty();
        let waits = || self.threads.iter().filter_map(|thread| thread.wait());
        let is_watched = |timer: usize| {
            waits().any(|wait| match &wait.condition {
                Condition::Files { own, .. } => own.iter().any(|file| {
                    matches!(file, OwnFile::WatchList(_)) || *file == OwnFile::Timer(timer)
                }),
                _ => false,
            })
        };
        let timer_files = self.own.timers.iter();
        let left = waits()
            .filter_map(|wait| wait.end)
            .map(|end| end.left())
            .chain(self.timers.left())
            .chain(net_left)
            .chain(
                timer_files
                    .filter(|&(id, _)| is_watched(id))
                    .filter_map(|(_, timer)| timer.left()),
            )
            .min();
        let is_hopeless = |wait: &Wait| match &wait.condition {
            Condition::Futex { .. } => true,
            Condition::Files { streams, own } => {
                let may_come = |file: &OwnFile| match file {
                    OwnFile::Socket(_) => true,
                    OwnFile::WatchList(_) => has_sockets,
                    _ => false,
                };
                streams.is_empty() && !own.iter().any(may_come)
            }
            // The program may wait for a signal until the VMM itself is ended by one.
            Condition::Nothing | Condition::Signals(_) => false,
        };
        match left {
            None if self.threads.seats().running() == 0 && waits().all(is_hopeless) => {
                Err(Stop::Deadlock)
            }
            None => Ok(None),
            Some(left) if left.is_zero() => Ok(Some(left)),
            Some(left) => Ok(Some(left.max(SHORTEST_SLEEP))),
        }
    }

    /// Takes the packets that have come, and lets the threads run for whose sockets something came.
    pub(super) fn serve_network(&mut self) {
        let Some(stack) = self.own.net.up() else {
            return;
        };
        let changed = stack.work();
        if !changed.is_empty() {
            self.wake_watchers(|file| matches!(file, OwnFile::Socket(id) if changed.contains(&id)));
        }
    }

    /// What the threads wait for on the host, for at most `time`.
    fn watch(&self, time: Option<Duration>) -> Watch {
        let mut wanted: BTreeMap<Stream, c_short> = BTreeMap::new();
        for wait in self.threads.iter().filter_map(|thread| thread.wait()) {
            if let Condition::Files { streams, .. } = &wait.condition {
                for &(stream, events) in streams {
                    *wanted.entry(stream).or_default() |= events;
                }
            }
        }
        Watch {
            wanted,
            streams: self.console.streams(),
            tap: self.own.net.tap().cloned(),
            time,
        }
    }
}

/// What the host is watched for. While one processor waits here, others may serve calls.
#[derive(Debug)]
pub(crate) struct Watch {
    wanted: BTreeMap<Stream, c_short>,
    streams: Arc<Streams>,
    tap: Option<Arc<OwnedFd>>,
    time: Option<Duration>,
}

/// The events of the streams for which threads wait.
#[derive(Debug)]
pub(crate) struct Events(BTreeMap<Stream, c_short>);

impl Watch {
    /// Waits for the streams. A packet and the `bell` end the wait, too.
    pub fn wait(self, bell: Option<BorrowedFd<'_>>) -> Events {
        let mut polled: Vec<PollFd<'_>> = self
            .wanted
            .iter()
            .map(|(&stream, &events)| {
                let flags = PollFlags::from_bits_retain(events);
                PollFd::new(self.streams.descriptor(stream), flags)
            })
            .collect();
        let others = self.tap.iter().map(|tap| tap.as_fd()).chain(bell);
        polled.extend(others.map(|other| PollFd::new(other, PollFlags::POLLIN)));
        match ppoll(&mut polled, self.time.map(TimeSpec::from), None) {
            Ok(_) => {}
            // Whoever woke up looks again.
            Err(Errno::EINTR) => return Events(BTreeMap::new()),
            // The host can't poll: the threads find out by their calls.
            Err(_) => return Events(self.wanted),
        }
        let events = polled
            .iter()
            .map(|each| each.revents().map_or(0, |events| events.bits()));
        Events(self.wanted.keys().copied().zip(events).collect())
    }
}
