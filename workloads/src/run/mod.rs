//! The workloads, one a module. Each says its messages on the output it is given and does nothing else.

mod block;
mod calls;
mod cpu;
mod disk;
mod idle;
mod memory;
mod net;
mod page_fault;
mod price;
mod ready;
mod syscall;

pub use disk::{Disk, DiskOperation};
pub use net::{Net, NetOperation};
pub use price::{Price, PriceOperation, SLEEP};

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use bytesize::ByteSize;

use crate::protocol::Message;

/// Size of a page, the unit in which memory is touched and buffers are aligned.
const PAGE: usize = 4096;

/// One workload and its parameters: a subcommand of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workload {
    /// Says that it is ready and exits: a start-up and nothing else.
    Ready,
    /// Holds this much touched memory until standard input closes.
    Idle {
        /// Memory to touch.
        touch: ByteSize,
    },
    /// Reads or writes a file or a block device.
    Disk(Disk),
    /// Speaks with the host over the network.
    Net(Net),
    /// Computes, without memory or system calls.
    Cpu {
        /// Rounds of the computation.
        iterations: NonZeroU64,
    },
    /// Makes the cheapest system call over and over.
    Syscall {
        /// System calls to make.
        iterations: NonZeroU64,
    },
    /// Touches fresh memory, one page fault a page.
    PageFault {
        /// Memory to touch.
        bytes: ByteSize,
    },
    /// Does one operation over and over.
    Price(Price),
    /// Tries every system call.
    Calls,
}

impl Workload {
    /// Whether the end of standard input ends it, rather than its own work.
    pub const fn ends_with_input(&self) -> bool {
        matches!(self, Self::Idle { .. })
    }

    /// Runs to the end. Messages go to `output`. The work after a `begin` starts when `input` has a line, or ends; a
    /// [`Workload::Idle`] lasts as long as `input`.
    ///
    /// # Errors
    /// The first input or output that failed, or memory that was not to be had.
    pub fn run(&self, output: &mut dyn Write, input: &mut dyn Read) -> Result<(), WorkloadError> {
        match self {
            Self::Ready => ready::run(output),
            Self::Idle { touch } => idle::run(*touch, output, input),
            Self::Disk(disk) => disk.run(output, input),
            Self::Net(net) => net.run(output),
            Self::Cpu { iterations } => cpu::run(*iterations, output, input),
            Self::Syscall { iterations } => syscall::run(*iterations, output, input),
            Self::PageFault { bytes } => page_fault::run(*bytes, output, input),
            Self::Price(price) => price.run(output, input),
            Self::Calls => calls::run(output, input),
        }
    }
}

/// A workload could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file or device cannot be opened.
    #[error("cannot open {path}{}", if *direct { " with O_DIRECT" } else { "" })]
    Open {
        /// The file.
        path: PathBuf,
        /// Whether `O_DIRECT` was asked for, which some file systems refuse.
        direct: bool,
        /// Why.
        source: io::Error,
    },
    /// The file is too short for the range asked for. It is never made longer: growing would be timed as writing.
    #[error("{path} holds {actual} bytes, fewer than --bytes {needed}: prepare a larger file")]
    TooShort {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        actual: u64,
        /// The size needed in bytes.
        needed: u64,
    },
    /// One operation failed.
    #[error("{operation} of {path} at byte {offset} failed")]
    Disk {
        /// The kind of system call.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Where in the file.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// A file can't be made or removed.
    #[error("{operation} {path} failed")]
    File {
        /// What was done.
        operation: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The network failed.
    #[error("{operation} with {peer} failed")]
    Net {
        /// What was done.
        operation: &'static str,
        /// With whom.
        peer: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The kernel refused what is neither a disk's nor a network's.
    #[error("{operation} failed")]
    Kernel {
        /// What was done.
        operation: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A mapping is to be touched, and of what isn't said.
    #[error("page-fault-file needs --path, the file to map")]
    NoFile,
    /// The memory to touch is not to be had.
    #[error("no memory for {0}")]
    Memory(ByteSize),
    /// Nobody can be told.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The signal to end cannot be received.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
}

fn send(message: &Message, output: &mut dyn Write) -> Result<(), WorkloadError> {
    message.send(output).map_err(WorkloadError::Output)
}

/// Says that the work can begin, and waits for the line that has it begin. The listener's clock runs from there: a
/// time from the arrival of `begin` would be short by as long as a busy host lets the listener wait for a processor.
fn begin(output: &mut dyn Write, input: &mut dyn Read) -> Result<(), WorkloadError> {
    send(&Message::Begin, output)?;
    let mut byte = [0];
    while input.read(&mut byte).map_err(WorkloadError::Input)? == 1 && byte != *b"\n" {}
    Ok(())
}

/// Sends the messages around a loop that counts operations and moves no bytes.
fn timed(
    output: &mut dyn Write,
    input: &mut dyn Read,
    work: impl FnOnce() -> Result<u64, WorkloadError>,
) -> Result<(), WorkloadError> {
    begin(output, input)?;
    let operations = work()?;
    let bytes = ByteSize(0);
    send(&Message::End { operations, bytes }, output)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a workload on an empty input and parses everything it says.
    fn messages(workload: &Workload) -> Vec<Message> {
        let mut output = Vec::new();
        workload.run(&mut output, &mut io::empty()).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    fn begin_to_end(operations: u64) -> Vec<Message> {
        let bytes = ByteSize(0);
        vec![Message::Begin, Message::End { operations, bytes }]
    }

    #[test]
    fn each_loop_counts_its_operations() {
        let iterations = NonZeroU64::new(1000).unwrap();
        assert_eq!(messages(&Workload::Cpu { iterations }), begin_to_end(1000));
        assert_eq!(
            messages(&Workload::Syscall { iterations }),
            begin_to_end(1000)
        );
        let bytes = ByteSize::mib(1);
        assert_eq!(messages(&Workload::PageFault { bytes }), begin_to_end(256));
    }

    #[test]
    fn ready_and_idle_say_that_they_are_ready() {
        assert_eq!(messages(&Workload::Ready), [Message::Ready]);
        let touch = ByteSize::kib(64);
        assert_eq!(messages(&Workload::Idle { touch }), [Message::Ready]);
    }

    #[test]
    fn a_closed_output_is_named() {
        let mut full: &mut [u8] = &mut [];
        let error = Workload::Ready
            .run(&mut full, &mut io::empty())
            .unwrap_err();
        assert!(matches!(error, WorkloadError::Output(_)), "{error}");
    }

    #[test]
    fn memory_that_is_not_to_be_had_is_an_error() {
        let bytes = ByteSize(u64::MAX);
        let error = Workload::PageFault { bytes }
            .run(&mut Vec::new(), &mut io::empty())
            .unwrap_err();
        assert!(matches!(error, WorkloadError::Memory(_)), "{error}");
    }
}
