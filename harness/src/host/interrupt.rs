//! SIGINT, SIGTERM and SIGHUP stop a run in order: instances are killed and reaped, and the samples
//! so far are kept.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::Signal;
use nix::sys::time::TimeSpec;

use crate::host::signals::is_ignored;

/// The user has requested a stop before anything came of the command.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the start")]
pub struct Stopped;

/// Tells whether the user has requested that the run stop.
#[derive(Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    wake: UnixStream,
    // Kept open: a closed writer would make `wake` readable.
    _writer: UnixStream,
}

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP for the rest of the process's life. One of them that is
    /// ignored stays ignored, as under nohup(1) or in a shell's background.
    ///
    /// # Errors
    /// The signal handlers could not be installed.
    pub fn install() -> io::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let (wake, writer) = UnixStream::pair()?;
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            if is_ignored(signal) {
                continue;
            }
            let signal = signal as i32;
            signal_hook::flag::register(signal, Arc::clone(&requested))?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self {
            requested,
            wake,
            _writer: writer,
        })
    }

    /// An interrupt that never comes, for benches and tests, which keep the default signal
    /// handlers.
    ///
    /// # Errors
    /// No socket pair could be made.
    pub fn never() -> io::Result<Self> {
        let (wake, writer) = UnixStream::pair()?;
        Ok(Self {
            requested: Arc::default(),
            wake,
            _writer: writer,
        })
    }

    /// Sleeps for `time`, or until a stop is requested. Returns whether a stop was requested.
    pub fn stop_requested_within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            // ppoll(2) returns early at any signal.
            let left = end.saturating_duration_since(Instant::now());
            if self.stop_requested() || left.is_zero() {
                return self.stop_requested();
            }
            let mut polled = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            let _ = ppoll(&mut polled, Some(TimeSpec::from(left)), None);
        }
    }

    /// Goes on only if no stop has been requested.
    ///
    /// # Errors
    /// [`Stopped`]
    pub fn check(&self) -> Result<(), Stopped> {
        if self.stop_requested() {
            return Err(Stopped);
        }
        Ok(())
    }

    /// The same outcome, but an error after a requested stop is [`Stopped`]: a key at the terminal
    /// kills what is being asked and prepared as well.
    ///
    /// # Errors
    /// That of `outcome`, or [`Stopped`].
    pub fn explain<T>(&self, outcome: anyhow::Result<T>) -> anyhow::Result<T> {
        outcome.map_err(|error| match self.check() {
            Ok(()) => error,
            Err(stopped) => stopped.into(),
        })
    }

    /// Whether a stop has been requested.
    pub fn stop_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

/// A descriptor for poll(2) that becomes readable when a stop is requested.
impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
