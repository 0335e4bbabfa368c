//! The command line of the program `workload`.

mod price;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use bytesize::ByteSize;
use lexopt::{Arg, Parser, ValueExt as _};

use crate::run::{Disk, DiskOperation, Net, NetOperation, Workload};

/// What `workload --help` prints.
pub const USAGE: &str = "\
usage: workload [--wait] WORKLOAD

WORKLOAD is one of
       ready [--libc]
       idle --touch SIZE
       disk --op seq-write|seq-read|rand-read|rand-write|fsync
            --block SIZE --bytes SIZE --path FILE [--direct] [--depth N]
       disk --op create|unlink --block SIZE --bytes SIZE --path DIRECTORY
       net --op receive|send --peer ADDRESS:PORT --bytes SIZE
       net --op echo|connect --peer ADDRESS:PORT --count N
       cpu --iterations N
       syscall --iterations N
       page-fault --bytes SIZE
       price --op OPERATION --milliseconds N [--path FILE]
       calls
       inspect

With --wait the work between the messages `begin` and `end` starts when standard input has a line, or ends.
";

/// Largest block of one disk operation: a mistyped unit shall not be a demand for memory.
const LARGEST_BLOCK: ByteSize = ByteSize::mib(64);
/// `O_DIRECT`'s alignment on the coarsest common device (a disk with 512-byte sectors is content with less).
const DIRECT_ALIGNMENT: u64 = 512;

/// Most operations at once: each has a thread and a block.
const DEEPEST: NonZeroU64 = NonZeroU64::new(256).unwrap();

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `--help`.
    Help,
    /// `inspect`: see [`crate::inspect`].
    Inspect,
    /// One of the workloads.
    Run {
        /// Which.
        workload: Workload,
        /// Whether its work waits for a line of standard input.
        waits: bool,
    },
}

/// The command line names no workload.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// No subcommand at all.
    #[error(
        "no workload is named: one of ready, idle, disk, net, cpu, syscall, page-fault, price, calls, inspect is needed"
    )]
    NoWorkload,
    /// A subcommand that does not exist.
    #[error(
        "unknown workload {name:?}: one of ready, idle, disk, net, cpu, syscall, page-fault, price, calls, inspect is needed"
    )]
    UnknownWorkload {
        /// As given.
        name: OsString,
    },
    /// An option that the workload needs is not there.
    #[error("workload {workload} needs {option}")]
    Missing {
        /// The workload.
        workload: &'static str,
        /// The option.
        option: &'static str,
    },
    /// An option's value cannot be used.
    #[error("{option} {value:?}: {needed}")]
    Value {
        /// The option.
        option: &'static str,
        /// Its value, as given.
        value: String,
        /// What would be accepted.
        needed: &'static str,
    },
    /// Not an option, or one without its value.
    #[error("bad command line")]
    Syntax(#[from] lexopt::Error),
}

/// Reads a command line.
///
/// # Errors
/// Anything that [`USAGE`] does not show.
pub fn parse(mut parser: Parser) -> Result<Command, UsageError> {
    let mut first = parser.next()?;
    let waits = first == Some(Arg::Long("wait"));
    if waits {
        first = parser.next()?;
    }
    let workload = match first {
        None => return Err(UsageError::NoWorkload),
        Some(Arg::Long("help") | Arg::Short('h')) => return Ok(Command::Help),
        Some(Arg::Value(name)) => match name.to_str() {
            Some("inspect") => {
                return match parser.next()? {
                    None => Ok(Command::Inspect),
                    Some(argument) => Err(argument.unexpected().into()),
                };
            }
            Some("ready") => ready(&mut parser)?,
            Some("calls") => match parser.next()? {
                None => Workload::Calls,
                Some(argument) => return Err(argument.unexpected().into()),
            },
            Some("idle") => Workload::Idle {
                touch: only("idle", "--touch", size, &mut parser)?,
            },
            Some("disk") => Workload::Disk(disk(&mut parser)?),
            Some("net") => Workload::Net(net(&mut parser)?),
            Some("cpu") => Workload::Cpu {
                iterations: only("cpu", "--iterations", count, &mut parser)?,
            },
            Some("syscall") => Workload::Syscall {
                iterations: only("syscall", "--iterations", count, &mut parser)?,
            },
            Some("page-fault") => Workload::PageFault {
                bytes: only("page-fault", "--bytes", size, &mut parser)?,
            },
            Some("price") => Workload::Price(price::parse(&mut parser)?),
            _ => return Err(UsageError::UnknownWorkload { name }),
        },
        Some(option) => return Err(option.unexpected().into()),
    };
    Ok(Command::Run { workload, waits })
}

/// `ready`, with or without `--libc`: the program's entry point serves it without, if it can, and never gets here.
fn ready(parser: &mut Parser) -> Result<Workload, UsageError> {
    match parser.next()? {
        None | Some(Arg::Long("libc")) => {}
        Some(argument) => return Err(argument.unexpected().into()),
    }
    match parser.next()? {
        None => Ok(Workload::Ready),
        Some(argument) => Err(argument.unexpected().into()),
    }
}

/// The value of the one option that `workload` has.
fn only<T>(
    workload: &'static str,
    option: &'static str,
    read: fn(&'static str, OsString) -> Result<T, UsageError>,
    parser: &mut Parser,
) -> Result<T, UsageError> {
    let mut value = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long(name) if option.strip_prefix("--") == Some(name) => {
                value = Some(read(option, parser.value()?)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    value.ok_or(UsageError::Missing { workload, option })
}

fn disk(parser: &mut Parser) -> Result<Disk, UsageError> {
    let (mut operation, mut block, mut bytes, mut path) = (None, None, None, None);
    let (mut direct, mut depth) = (false, NonZeroU64::MIN);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("op") => operation = Some(disk_operation(parser.value()?)?),
            Arg::Long("block") => block = Some(size("--block", parser.value()?)?),
            Arg::Long("bytes") => bytes = Some(size("--bytes", parser.value()?)?),
            Arg::Long("path") => path = Some(PathBuf::from(parser.value()?)),
            Arg::Long("direct") => direct = true,
            Arg::Long("depth") => depth = count("--depth", parser.value()?)?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    let missing = |option| UsageError::Missing {
        workload: "disk",
        option,
    };
    let disk = Disk {
        operation: operation.ok_or(missing("--op"))?,
        block: block.ok_or(missing("--block"))?,
        bytes: bytes.ok_or(missing("--bytes"))?,
        path: path.ok_or(missing("--path"))?,
        direct,
        depth,
    };
    check_sizes(&disk)?;
    Ok(disk)
}

fn net(parser: &mut Parser) -> Result<Net, UsageError> {
    let (mut operation, mut peer, mut bytes, mut number) = (None, None, None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("op") => operation = Some(parser.value()?.string()?),
            Arg::Long("peer") => peer = Some(address(parser.value()?)?),
            Arg::Long("bytes") => bytes = Some(size("--bytes", parser.value()?)?),
            Arg::Long("count") => number = Some(count("--count", parser.value()?)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let missing = |option| UsageError::Missing {
        workload: "net",
        option,
    };
    let operation = operation.ok_or(missing("--op"))?;
    let bytes = bytes.ok_or(missing("--bytes"));
    let number = number.ok_or(missing("--count"));
    let operation = match operation.as_str() {
        "receive" => NetOperation::Receive(bytes?),
        "send" => NetOperation::Send(bytes?),
        "echo" => NetOperation::Echo(number?),
        "connect" => NetOperation::Connect(number?),
        _ => {
            return Err(UsageError::Value {
                option: "--op",
                value: operation,
                needed: "one of receive, send, echo, connect is needed",
            });
        }
    };
    let peer = peer.ok_or(missing("--peer"))?;
    Ok(Net { peer, operation })
}

fn address(value: OsString) -> Result<SocketAddr, UsageError> {
    let value = value.string()?;
    value.parse().map_err(|_| UsageError::Value {
        option: "--peer",
        value,
        needed: "an address and a port such as 198.18.0.1:4000 are needed",
    })
}

fn check_sizes(disk: &Disk) -> Result<(), UsageError> {
    let (block, bytes) = (disk.block.as_u64(), disk.bytes.as_u64());
    let refuse = |option, value: ByteSize, needed| {
        Err(UsageError::Value {
            option,
            value: value.to_string(),
            needed,
        })
    };
    if disk.block > LARGEST_BLOCK {
        return refuse("--block", disk.block, "64 MiB is the largest block");
    }
    if disk.direct && !block.is_multiple_of(DIRECT_ALIGNMENT) {
        return refuse(
            "--block",
            disk.block,
            "with --direct a multiple of 512 bytes is needed",
        );
    }
    if disk.direct && disk.operation.is_of_files() {
        return Err(UsageError::Value {
            option: "--op",
            value: disk.operation.name().to_owned(),
            needed: "small files are made through the page cache: leave out --direct",
        });
    }
    if disk.depth > DEEPEST || disk.depth.get() > 1 && !disk.operation.is_random() {
        return Err(UsageError::Value {
            option: "--depth",
            value: disk.depth.to_string(),
            needed: "1 is needed, or up to 256 with rand-read and rand-write",
        });
    }
    if !bytes.is_multiple_of(block) {
        return refuse("--bytes", disk.bytes, "a multiple of --block is needed");
    }
    Ok(())
}

fn disk_operation(value: OsString) -> Result<DiskOperation, UsageError> {
    let value = value.string()?;
    DiskOperation::ALL
        .into_iter()
        .find(|operation| operation.name() == value)
        .ok_or(UsageError::Value {
            option: "--op",
            value,
            needed: "one of seq-write, seq-read, rand-read, rand-write, fsync, create, unlink is needed",
        })
}

fn size(option: &'static str, value: OsString) -> Result<ByteSize, UsageError> {
    let value = value.string()?;
    match value.parse() {
        Ok(size) if size > ByteSize(0) => Ok(size),
        _ => Err(UsageError::Value {
            option,
            value,
            needed: "a size above zero such as 4KiB or 64MiB is needed",
        }),
    }
}

fn count(option: &'static str, value: OsString) -> Result<NonZeroU64, UsageError> {
    let value = value.string()?;
    value.parse().map_err(|_| UsageError::Value {
        option,
        value,
        needed: "a whole number above zero is needed",
    })
}

#[cfg(test)]
mod tests;
