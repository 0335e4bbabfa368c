//! The instrument, measured by itself before the first sample: how much the bare process differs from itself on this
//! host, and what the harness's own part of each time costs.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use isobench_reports::model::Instrument;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::experiments::profile::Profile;
use crate::host::clock::MonotonicTime;
use crate::host::interrupt::Interrupt;
use crate::instance::command_line::CommandLine;
use crate::instance::marks::MarkWriter;
use crate::instance::{Instance, InstanceError, Stdin};

/// Pairs of starts whose first run only brings the program's pages into memory.
const WARMUP: usize = 2;

/// How long the writer of a wake-up lets the harness fall asleep.
const SLEEP: Duration = Duration::from_micros(300);

/// How long one start may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The instrument could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum InstrumentError {
    /// A bare process failed.
    #[error("the bare process can't be started")]
    Instance(#[from] InstanceError),
    /// A pipe failed.
    #[error("a pipe can't be timed")]
    Pipe(#[from] io::Error),
    /// A time ended before it began.
    #[error("the host's monotonic clock went backwards")]
    Backwards,
}

/// Number of pairs of starts, and of wake-ups and marks, under a profile.
const fn amounts(profile: Profile) -> (usize, usize) {
    match profile {
        Profile::Quick => (20, 30),
        Profile::Standard => (50, 100),
        Profile::Thorough => (200, 300),
    }
}

/// Measures the instrument with the program `workload`.
///
/// # Errors
/// [`InstrumentError`]
pub fn measure(
    workload: &Path,
    profile: Profile,
    interrupt: &Interrupt,
) -> Result<Instrument, InstrumentError> {
    let (pairs, singles) = amounts(profile);
    Ok(Instrument {
        pairs: start_pairs(workload, pairs, interrupt)?,
        wake_ups: wake_ups(singles)?,
        marks: marks(singles)?,
    })
}

/// Starts the bare process in pairs; which of a pair comes first changes, so that neither profits from its place.
fn start_pairs(
    workload: &Path,
    count: usize,
    interrupt: &Interrupt,
) -> Result<Vec<[f64; 2]>, InstrumentError> {
    let start = || -> Result<f64, InstrumentError> {
        let command = CommandLine::new(workload).args(["ready"]);
        let mut instance = Instance::start(&command, Stdin::Null, LIMIT, interrupt)?;
        let took = nanoseconds(instance.spawned_at(), instance.wait_until_ready()?)?;
        instance.wait_until_exited()?;
        Ok(took)
    };
    let mut pairs = Vec::with_capacity(count);
    for number in 0..WARMUP + count {
        let mut pair = [start()?, start()?];
        if number % 2 == 1 {
            pair.reverse();
        }
        if number >= WARMUP {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// From another thread's writing of a byte until this one, asleep in poll(2), has read its clock.
fn wake_ups(count: usize) -> Result<Vec<f64>, InstrumentError> {
    let (reader, writer) = pipe()?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    let (ask, asked) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for () in asked {
                std::thread::sleep(SLEEP);
                let written = MonotonicTime::now();
                if writer.write_all(&[0]).is_err() || tell.send(written).is_err() {
                    return;
                }
            }
        });
        // Dropped at the end of this closure, also on an error: the thread then ends.
        let ask = ask;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            ask.send(()).map_err(io::Error::other)?;
            let mut polled = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::NONE).map_err(io::Error::from)?;
            let awake = MonotonicTime::now();
            reader.read_exact(&mut [0])?;
            let written = told.recv().map_err(io::Error::other)?;
            times.push(nanoseconds(written, awake)?);
        }
        Ok(times)
    })
}

/// The writing of one mark to a pipe that has room.
fn marks(count: usize) -> Result<Vec<f64>, InstrumentError> {
    let (reader, writer) = pipe()?;
    let (mut reader, writer) = (File::from(reader), MarkWriter::new(writer));
    let mut line = [0; 64];
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let before = MonotonicTime::now();
        writer.mark("instrument");
        times.push(nanoseconds(before, MonotonicTime::now())?);
        if reader.read(&mut line)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(times)
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// The nanoseconds between two readings of the clock.
fn nanoseconds(from: MonotonicTime, to: MonotonicTime) -> Result<f64, InstrumentError> {
    let took = to.since(from).ok_or(InstrumentError::Backwards)?;
    Ok(took.as_nanos() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_ups_and_marks_take_time() {
        for times in [wake_ups(20).unwrap(), marks(20).unwrap()] {
            assert_eq!(times.len(), 20);
            assert!(times.iter().all(|time| *time > 0.0), "{times:?}");
        }
    }

    #[test]
    fn a_program_that_isn_t_there_is_an_error_and_no_figure() {
        let interrupt = Interrupt::never().unwrap();
        let error = measure(Path::new("/no/such/program"), Profile::Quick, &interrupt);
        assert!(matches!(error, Err(InstrumentError::Instance(_))));
    }
}
