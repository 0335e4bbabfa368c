//! `price`: does one operation again and again, for about as long as asked. The price is what
//! running costs in a target, and not what starting costs.
//!
//! **How often.** Targets differ by a factor of hundreds, so no fixed number of operations suits
//! all of them. The workload finds a number before the timed window opens: it doubles the number
//! until the operations take an eighth of the window, by the clock that the workload sees. That
//! clock may be wrong. Then the window is too long or too short, but the result is right: the time
//! is measured from outside, and the workload reads no clock inside the window.
//!
//! **In the timed window** are the operations alone. Memory is reserved, filled and mapped before,
//! and threads are started before.

mod compute;
mod kernel;
mod memory;
mod port;

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use strum::{IntoStaticStr, VariantArray};

use super::{WorkloadError, begin, send};
use crate::protocol::Message;

/// How long the operation [`PriceOperation::Timer`] asks to sleep.
pub const SLEEP: Duration = Duration::from_micros(50);

/// The operations have to fill this fraction of the window (one in so many) before the number that
/// fits into the window is computed.
const TRIAL: u32 = 8;

/// One operation to be done again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// The operation.
    pub operation: PriceOperation,
    /// About how long the operation is done.
    pub window: Duration,
    /// The file to map, for [`PriceOperation::PageFaultFile`].
    pub path: Option<PathBuf>,
}

/// An operation that has a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum PriceOperation {
    /// A call of getppid(2).
    SystemCall,
    /// The first write to a page of memory.
    PageFault,
    /// The first read of a mapped file that is in the page cache.
    PageFaultFile,
    /// A switch from one thread to another on the same processor, through a pipe.
    ContextSwitch,
    /// A reading of the clock.
    Clock,
    /// A sleep of [`SLEEP`].
    Timer,
    /// A write to a port that no device has.
    Exit,
    /// A step of a chain of integer operations in registers.
    Integer,
    /// A multiplication and an addition of floating-point numbers, which need the result of those
    /// before.
    Float,
    /// A read of memory in order.
    MemoryRead,
    /// A read of memory out of order, at an address that comes from the read before.
    RandomAccess,
}

impl PriceOperation {
    /// Every operation.
    pub const ALL: &'static [Self] = Self::VARIANTS;

    /// The operation's name on the command line.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// An operation that is ready to be done.
trait Work {
    /// Does `turns` turns. All calls together do at most [`Work::most`] turns.
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError>;

    /// How many turns can be done in all.
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
    /// Does the operation again and again.
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

/// How many turns fit into `window`. At most the turns are counted that are left after the trial.
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
