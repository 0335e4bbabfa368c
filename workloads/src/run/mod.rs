//! The workloads, one a module. Each writes its messages to the output that it is given, and does
//! nothing else.

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
mod serve;
mod syscall;

pub use disk::{Disk, DiskOperation};
pub use net::{Net, NetOperation};
pub use price::{Price, PriceOperation, SLEEP};
pub use serve::{ROUND, Serve};

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use bytesize::ByteSize;

use crate::protocol::Message;

/// The size of a page in bytes. Memory is touched, and buffers are aligned, in pages.
const PAGE: usize = 4096;

/// One workload and its parameters, which are a subcommand of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Workload {
    /// Says that it is ready, and exits.
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
    /// Makes the cheapest system call again and again.
    Syscall {
        /// System calls to make.
        iterations: NonZeroU64,
    },
    /// Touches fresh memory, with one page fault a page.
    PageFault {
        /// Memory to touch.
        bytes: ByteSize,
    },
    /// Does one operation again and again.
    Price(Price),
    /// Tries every system call.
    Calls,
    /// Initialises, and answers lines.
    Serve(Serve),
}

impl Workload {
    /// Whether the workload ends with standard input, and not with its own work.
    pub const fn ends_with_input(&self) -> bool {
        matches!(self, Self::Idle { .. } | Self::Serve(_))
    }

    /// Runs the workload to its end. Messages go to `output`. The work after the message `begin`
    /// starts when `input` has a line, or ends. A [`Workload::Idle`] and a [`Workload::Serve`] last as
    /// long as `input`.
    ///
    /// # Errors
    /// An input or output failed, or there was not enough memory.
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
            Self::Serve(serve) => serve.run(output, input),
        }
    }
}

/// A workload could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// The file or device cannot be opened.
    #[error("cannot open {path}{}", if *direct { " with O_DIRECT" } else { "" })]
    Open {
        /// The path of the file.
        path: PathBuf,
        /// Whether `O_DIRECT` was asked for, which some file systems refuse.
        direct: bool,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The file is shorter than the range asked for. The workload never makes a file longer: that
    /// would be timed as writing.
    #[error("{path} holds {actual} bytes, fewer than --bytes {needed}: prepare a larger file")]
    TooShort {
        /// The path of the file.
        path: PathBuf,
        /// The size of the file in bytes.
        actual: u64,
        /// The size needed in bytes.
        needed: u64,
    },
    /// The program can't be cloned.
    #[error("cannot make a clone")]
    Clone(#[source] io::Error),
    /// One operation on a file failed.
    #[error("{operation} of {path} at byte {offset} failed")]
    Disk {
        /// The name of the system call.
        operation: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The offset of the operation in the file, in bytes.
        offset: u64,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A small file could not be made, written or removed.
    #[error("{operation} {path} failed")]
    File {
        /// What was being done, as a participle.
        operation: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// An operation on the network failed.
    #[error("{operation} with {peer} failed")]
    Net {
        /// What was done.
        operation: &'static str,
        /// The address of the host.
        peer: SocketAddr,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refused an operation that is about neither a disk nor a network.
    #[error("{operation} failed")]
    Kernel {
        /// What was done.
        operation: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The operation maps a file, and no file is given.
    #[error("page-fault-file needs --path, the file to map")]
    NoFile,
    /// There is not enough memory.
    #[error("no memory for {0}")]
    Memory(ByteSize),
    /// A message cannot be written.
    #[error("cannot write to standard output")]
    Output(#[source] io::Error),
    /// The signal to begin or to end cannot be received.
    #[error("cannot read standard input")]
    Input(#[source] io::Error),
}

fn send(message: &Message, output: &mut dyn Write) -> Result<(), WorkloadError> {
    message.send(output).map_err(WorkloadError::Output)
}

/// Says that the work can begin, and waits for the line that lets it begin. The listener's clock
/// starts when the listener writes that line. A time from the arrival of `begin` would be too
/// short: on a busy host the listener may first have to wait for a processor.
fn begin(output: &mut dyn Write, input: &mut dyn Read) -> Result<(), WorkloadError> {
    send(&Message::Begin, output)?;
    let mut byte = [0];
    while input.read(&mut byte).map_err(WorkloadError::Input)? == 1 && byte != *b"\n" {}
    Ok(())
}

/// Sends the messages around `work`, which counts its operations and moves no bytes.
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

    /// Runs a workload with an empty input, and parses everything that the workload says.
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
    fn every_loop_counts_its_operations() {
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
    fn a_closed_output_is_an_error() {
        let mut full: &mut [u8] = &mut [];
        let error = Workload::Ready
            .run(&mut full, &mut io::empty())
            .unwrap_err();
        assert!(matches!(error, WorkloadError::Output(_)), "{error}");
    }

    #[test]
    fn too_little_memory_is_an_error() {
        let bytes = ByteSize(u64::MAX);
        let error = Workload::PageFault { bytes }
            .run(&mut Vec::new(), &mut io::empty())
            .unwrap_err();
        assert!(matches!(error, WorkloadError::Memory(_)), "{error}");
    }
}
