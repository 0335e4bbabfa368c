//! What the VMM does when no thread can run: it sleeps in the host's kernel until one can.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::{self, c_short};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::own_files::OwnFile;
use super::threads::{Condition, Resume, ThreadId, Wait};
use super::{Failure, Personality};
use crate::devices::console::Stream;

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
    /// Waits until something happens for which a thread may wait.
    ///
    /// # Errors
    /// No thread ever can run again.
    pub(crate) fn await_events(&mut self) -> Result<(), Stop> {
        let time = self.time_to_sleep()?;
        self.poll_streams(time)
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
        self.poll_streams(Some(Duration::ZERO))?;
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
            None if waits().all(is_hopeless) => Err(Stop::Deadlock),
            None => Ok(None),
            Some(left) if left.is_zero() => Ok(Some(left)),
            Some(left) => Ok(Some(left.max(SHORTEST_SLEEP))),
        }
    }

    /// Waits for the streams that threads wait for, and for at most `time`, and ends the waits that
    /// are over.
    fn poll_streams(&mut self, time: Option<Duration>) -> Result<(), Stop> {
        let ready = self.ready_streams(time.map(TimeSpec::from));
        self.serve_network();
        self.threads.wake_for_files(|streams, _| {
            streams.iter().any(|(stream, events)| {
                let ready = ready.get(stream).copied().unwrap_or_default();
                // An error or a hang-up is told to everybody.
                ready & (events | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0
            })
        });
        self.threads.wake_for_time();
        self.count_timer_files();
        match self.expire_timers() {
            Err(Failure::Signal(signal)) => Err(Stop::Killed(signal)),
            Ok(()) | Err(_) => Ok(()),
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

    /// The events of the streams for which threads wait. A packet ends the wait, too.
    fn ready_streams(&self, time: Option<TimeSpec>) -> BTreeMap<Stream, c_short> {
        let mut wanted: BTreeMap<Stream, c_short> = BTreeMap::new();
        for wait in self.threads.iter().filter_map(|thread| thread.wait()) {
            if let Condition::Files { streams, .. } = &wait.condition {
                for &(stream, events) in streams {
                    *wanted.entry(stream).or_default() |= events;
                }
            }
        }
        let mut polled: Vec<PollFd<'_>> = wanted
            .iter()
            .map(|(&stream, &events)| {
                let flags = PollFlags::from_bits_retain(events);
                PollFd::new(self.console.descriptor(stream), flags)
            })
            .collect();
        let tap = self.own.net.tap();
        polled.extend(tap.map(|tap| PollFd::new(tap, PollFlags::POLLIN)));
        match ppoll(&mut polled, time, None) {
            Ok(_) => {}
            // Whoever woke up looks again.
            Err(Errno::EINTR) => return BTreeMap::new(),
            // The host can't poll: the threads find out by their calls.
            Err(_) => return wanted,
        }
        let events = polled
            .iter()
            .map(|each| each.revents().map_or(0, |events| events.bits()));
        wanted.keys().copied().zip(events).collect()
    }
}
