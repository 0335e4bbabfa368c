//! SIGINT and SIGTERM end a run in order: instances are killed and reaped, the samples so far are kept.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Knows whether the user has asked the run to stop.
#[derive(Debug)]
pub struct Interrupt {
    asked: Arc<AtomicBool>,
    wake: UnixStream,
    // Kept open: a closed writer would make `wake` readable.
    _writer: UnixStream,
}

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP for the rest of the process's life.
    ///
    /// # Errors
    /// The signal handlers could not be installed.
    pub fn install() -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let (wake, writer) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&asked))?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Self {
            asked,
            wake,
            _writer: writer,
        })
    }

    /// One that never fires, for benches and tests which keep the default handlers.
    ///
    /// # Errors
    /// No socket pair could be made.
    pub fn never() -> io::Result<Self> {
        let (wake, writer) = UnixStream::pair()?;
        Ok(Self {
            asked: Arc::default(),
            wake,
            _writer: writer,
        })
    }

    /// Sleeps for `time`, unless a stop is asked for before: whether it was.
    pub fn comes_within(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            // It returns early when any signal comes.
            let left = end.saturating_duration_since(Instant::now());
            if self.asked() || left.is_zero() {
                return self.asked();
            }
            let mut polled = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            let _ = ppoll(&mut polled, Some(TimeSpec::from(left)), None);
        }
    }

    /// Whether a stop has been asked for.
    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

/// Readable once a stop has been asked for: for poll(2) beside others.
impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
