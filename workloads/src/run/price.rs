//! `price`: one operation over and over, for about as long as asked: what running costs, not starting.
//!
//! **How often.** Targets differ by a factor of hundreds, so no fixed number suits them all. The workload finds its own
//! before the window opens: twice as many each time, until they take an eighth of the window by the clock that it sees.
//! That clock may be wrong. It then opens the window for too long or too short, and falsifies nothing: while it
//! is open no clock is read, and the time is taken from outside.
//!
//! **In the window** are the operations alone. Memory is reserved, filled and mapped before, threads are started before.

mod compute;
mod kernel;
mod memory;
mod port;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytesize::ByteSize;

use super::{WorkloadError, begin, send};
use crate::protocol::Message;

/// How long the operation [`PriceOperation::Timer`] asks to sleep.
pub const SLEEP: Duration = Duration::from_micros(50);

/// The part of the window that the operations have to fill before their number is taken for known.
const TRIAL: u32 = 8;

/// What to do, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The operation.
    pub operation: PriceOperation,
    /// About how long.
    pub window: Duration,
    /// The file to map, for [`PriceOperation::PageFaultFile`].
    pub path: Option<PathBuf>,
}

/// An operation that has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PriceOperation {
    /// A step of a chain of integer operations, in registers.
    Integer,
    /// A multiplication and an addition of floating-point numbers, each needing the one before.
    Float,
    /// Reading memory in order.
    MemoryRead,
    /// Reading memory out of order, each address from the one before.
    RandomAccess,
    /// getppid(2).
    SystemCall,
    /// The first write to a page of memory.
    PageFault,
    /// The first read of a mapped file that the page cache has.
    PageFaultFile,
    /// From one thread to another on the same processor, through a pipe.
    ContextSwitch,
    /// Reading the clock.
    Clock,
    /// A sleep of [`SLEEP`].
    Timer,
    /// A write to a port that no device has.
    Exit,
}

impl PriceOperation {
    /// Every operation.
    pub const ALL: [Self; 11] = [
        Self::SystemCall,
        Self::PageFault,
        Self::PageFaultFile,
        Self::ContextSwitch,
        Self::Clock,
        Self::Timer,
        Self::Exit,
        Self::Integer,
        Self::Float,
        Self::MemoryRead,
        Self::RandomAccess,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::MemoryRead => "memory-read",
            Self::RandomAccess => "random-access",
            Self::SystemCall => "system-call",
            Self::PageFault => "page-fault",
            Self::PageFaultFile => "page-fault-file",
            Self::ContextSwitch => "context-switch",
            Self::Clock => "clock",
            Self::Timer => "timer",
            Self::Exit => "exit",
        }
    }
}

/// An operation that is ready to be done.
trait Work {
    /// Does it in so many turns, never more than [`Work::most`] in all.
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError>;

    /// Turns that there are.
    fn most(&self) -> u64 {
        u64::MAX
    }

    /// Operations of one turn.
    fn operations(&self) -> u64 {
        1
    }

    /// Bytes that one turn moves.
    fn bytes(&self) -> u64 {
        0
    }
}

impl Price {
    pub(super) fn run(
        &self,
        output: &mut dyn Write,
        input: &mut dyn Read,
    ) -> Result<(), WorkloadError> {
        let mut work = self.prepare()?;
        let turns = turns_in(self.window, work.as_mut())?;
        begin(output, input)?;
        work.run(turns)?;
        let end = Message::End {
            operations: turns * work.operations(),
            bytes: ByteSize(turns * work.bytes()),
        };
        send(&end, output)
    }

    fn prepare(&self) -> Result<Box<dyn Work>, WorkloadError> {
        Ok(match self.operation {
            PriceOperation::Integer => Box::new(compute::Integer::new()),
            PriceOperation::Float => Box::new(compute::Float::new()),
            PriceOperation::MemoryRead => Box::new(memory::Read::new()?),
            PriceOperation::RandomAccess => Box::new(memory::Chase::new()?),
            PriceOperation::SystemCall => Box::new(kernel::SystemCall),
            PriceOperation::PageFault => Box::new(memory::FirstTouch::new()?),
            PriceOperation::PageFaultFile => {
                let path = self.path.as_deref().ok_or(WorkloadError::NoFile)?;
                Box::new(memory::FirstRead::new(path)?)
            }
            PriceOperation::ContextSwitch => Box::new(kernel::ContextSwitch::new()?),
            PriceOperation::Clock => Box::new(kernel::Clock),
            PriceOperation::Timer => Box::new(kernel::Timer),
            PriceOperation::Exit => Box::new(port::PortWrite::new()?),
        })
    }
}

/// How many turns fit into `window`, as far as there are any left after having tried.
fn turns_in(window: Duration, work: &mut dyn Work) -> Result<u64, WorkloadError> {
    let (mut turns, mut left) = (1, work.most());
    loop {
        let begun = Instant::now();
        work.run(turns)?;
        let took = begun.elapsed();
        left -= turns;
        if took >= window / TRIAL || turns > left / u64::from(TRIAL) {
            let fit = u128::from(turns) * window.as_nanos() / took.as_nanos().max(1);
            return Ok(u64::try_from(fit).unwrap_or(left).clamp(1, left));
        }
        turns *= 2;
    }
}

#[cfg(test)]
mod tests;
