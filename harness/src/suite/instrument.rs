//! The measurement of the instrument itself, before the first sample: how much two starts of the
//! bare process differ on this host, and how much time of the harness itself is in each figure.

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

/// The number of pairs of starts that don't count: they bring the program's pages into memory.
const WARMUP: usize = 2;

/// How long the writing thread waits, so that the reading thread is asleep when the byte comes.
const SLEEP: Duration = Duration::from_micros(300);

/// How long one start may take.
const START_LIMIT: Duration = Duration::from_secs(10);

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

/// The number of pairs of starts, and the number of wake-ups and of marks, in a run of `profile`.
const fn counts(profile: Profile) -> (usize, usize) {
    match profile {
        Profile::Quick => (20, 30),
        Profile::Standard => (50, 100),
        Profile::Thorough => (200, 300),
    }
}

/// Measures the instrument with the program `isobench-workload`.
///
/// # Errors
/// [`InstrumentError`]
pub fn measure(
    workload: &Path,
    profile: Profile,
    interrupt: &Interrupt,
) -> Result<Instrument, InstrumentError> {
    let (pairs, singles) = counts(profile);
    Ok(Instrument {
        pairs: start_pairs(workload, pairs, interrupt)?,
        wake_ups: wake_ups(singles)?,
        marks: marks(singles)?,
    })
}

/// Starts the bare process in pairs. In every second pair the two starts swap places, so that their
/// order has no influence.
fn start_pairs(
    workload: &Path,
    count: usize,
    interrupt: &Interrupt,
) -> Result<Vec<[f64; 2]>, InstrumentError> {
    let start = || -> Result<f64, InstrumentError> {
        let command = CommandLine::new(workload).args(["ready"]);
        let mut instance = Instance::start(&command, Stdin::Null, START_LIMIT, interrupt)?;
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

/// Measures wake-ups: the time from another thread's write of a byte until this thread, which
/// sleeps in poll(2), has read the clock.
fn wake_ups(count: usize) -> Result<Vec<f64>, InstrumentError> {
    let (reader, writer) = pipe()?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    let (request, requests) = mpsc::channel::<()>();
    let (answer, answers) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for () in requests {
                std::thread::sleep(SLEEP);
                let written = MonotonicTime::now();
                if writer.write_all(&[0]).is_err() || answer.send(written).is_err() {
                    return;
                }
            }
        });
        // The sender is dropped at the end of this closure, also after an error. The thread then
        // ends.
        let request = request;
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            request.send(()).map_err(io::Error::other)?;
            let mut polled = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
            poll(&mut polled, PollTimeout::NONE).map_err(io::Error::from)?;
            let awake = MonotonicTime::now();
            reader.read_exact(&mut [0])?;
            let written = answers.recv().map_err(io::Error::other)?;
            times.push(nanoseconds(written, awake)?);
        }
        Ok(times)
    })
}

/// Measures how long it takes to write one mark to a pipe that isn't full.
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
    fn a_missing_program_is_an_error() {
        let interrupt = Interrupt::never().unwrap();
        let error = measure(Path::new("/no/such/program"), Profile::Quick, &interrupt);
        assert!(matches!(error, Err(InstrumentError::Instance(_))));
    }
}
