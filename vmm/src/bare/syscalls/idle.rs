//! What the VMM does when no thread can run: it sleeps in the host's kernel until one can.

use std::collections::BTreeMap;

use nix::errno::Errno;
use nix::libc::c_short;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::Personality;
use super::threads::{Condition, Resume, ThreadId, Wait};
use crate::devices::console::Stream;

/// Every thread waits for another one. On Linux the program would hang forever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadlock;

impl Personality {
    /// Waits until a thread can run, and makes it the current one.
    ///
    /// # Errors
    /// No thread ever can.
    pub(crate) fn next_thread(&mut self) -> Result<(ThreadId, Resume), Deadlock> {
        loop {
            if let Some(next) = self.threads.choose() {
                return Ok(next);
            }
            self.sleep()?;
        }
    }

    /// Lets the threads run whose time is up or whose stream is ready, while others still run.
    pub(crate) fn look_around(&mut self) {
        if self.threads.iter().any(|thread| thread.wait().is_some()) {
            self.poll_streams(Some(TimeSpec::new(0, 0)));
        }
        self.threads.yield_now();
    }

    fn sleep(&mut self) -> Result<(), Deadlock> {
        let waits = || self.threads.iter().filter_map(|thread| thread.wait());
        let left = waits()
            .filter_map(|wait| wait.end)
            .map(|end| end.left())
            .min();
        let is_hopeless = |wait: &Wait| match &wait.condition {
            Condition::Futex { .. } => true,
            Condition::Files(streams) => streams.is_empty(),
            // The program may wait for a signal until the VMM itself is ended by one.
            Condition::Nothing | Condition::Signals(_) => false,
        };
        if left.is_none() && waits().all(is_hopeless) {
            return Err(Deadlock);
        }
        self.poll_streams(left.map(TimeSpec::from));
        Ok(())
    }

    /// Waits for the streams that threads wait for, and for at most `time`, and ends the waits that
    /// are over.
    fn poll_streams(&mut self, time: Option<TimeSpec>) {
        let ready = self.ready_streams(time);
        self.threads.wake_for_files(|wait| {
            let Condition::Files(streams) = &wait.condition else {
                return false;
            };
            streams.iter().any(|(stream, events)| {
                let ready = ready.get(stream).copied().unwrap_or_default();
                // An error or a hang-up is told to everybody.
                ready & (events | libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0
            })
        });
        self.threads.wake_for_time();
    }

    /// The events of the streams for which threads wait.
    fn ready_streams(&self, time: Option<TimeSpec>) -> BTreeMap<Stream, c_short> {
        let mut wanted: BTreeMap<Stream, c_short> = BTreeMap::new();
        for wait in self.threads.iter().filter_map(|thread| thread.wait()) {
            if let Condition::Files(streams) = &wait.condition {
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
