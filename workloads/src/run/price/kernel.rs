//! Work of the kernel: system calls, clocks, and switches to other threads.

use std::hint::black_box;
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _, pipe};
use std::thread;
use std::time::Instant;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::{Pid, getppid};

use super::{SLEEP, Work};
use crate::run::WorkloadError;

/// The cheapest system call. No vDSO has it, and no C library remembers its answer.
pub(super) struct SystemCall;

impl Work for SystemCall {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        for _ in 0..turns {
            black_box(getppid());
        }
        Ok(())
    }
}

/// Readings of `CLOCK_MONOTONIC`, by the vDSO or a system call, as the target allows.
pub(super) struct Clock;

impl Work for Clock {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        for _ in 0..turns {
            black_box(Instant::now());
        }
        Ok(())
    }
}

/// Short sleeps, which a target may make longer.
pub(super) struct Timer;

impl Work for Timer {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        for _ in 0..turns {
            thread::sleep(SLEEP);
        }
        Ok(())
    }
}

/// A byte that goes to another thread and back. Both threads stay on one processor. On two
/// processors, the time to wake the other processor up would be measured.
pub(super) struct ContextSwitch {
    to: PipeWriter,
    from: PipeReader,
}

impl ContextSwitch {
    /// Starts the other thread.
    pub(super) fn new() -> Result<Self, WorkloadError> {
        stay_here().map_err(failed("staying on one processor"))?;
        let (mut theirs, to) = pipe().map_err(failed("pipe"))?;
        let (from, mut answer) = pipe().map_err(failed("pipe"))?;
        // The thread ends when the pipe is closed, or with the process.
        let partner = move || {
            let mut byte = [0];
            while theirs.read_exact(&mut byte).is_ok() && answer.write_all(&byte).is_ok() {}
        };
        let started = thread::Builder::new().spawn(partner);
        started.map_err(failed("starting a thread"))?;
        Ok(Self { to, from })
    }
}

impl Work for ContextSwitch {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        let mut byte = [0];
        for _ in 0..turns {
            self.to.write_all(&byte).map_err(failed("write"))?;
            self.from.read_exact(&mut byte).map_err(failed("read"))?;
        }
        Ok(())
    }

    /// One switch to the other thread, and one back.
    fn operations(&self) -> u64 {
        2
    }
}

/// Keeps this thread, and the threads that it starts from now on, on the processor where it runs.
fn stay_here() -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(nix::sched::sched_getcpu()?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &only)?)
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> WorkloadError {
    move |source| WorkloadError::Kernel { operation, source }
}
