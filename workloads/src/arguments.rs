//! The command line of the program `isobench-workload`.

mod price;

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use lexopt::{Arg, Parser, ValueExt as _};

use crate::run::{Disk, DiskOperation, Net, NetOperation, Serve, Workload};

/// What `isobench-workload --help` prints.
pub const USAGE: &str = "\
usage: isobench-workload [--wait] WORKLOAD

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
       serve --touch SIZE [--compute MILLISECONDS] [--template]
       inspect

With --wait, the work between the messages `begin` and `end` starts when a line arrives on standard
input, or when standard input ends.
";

/// The names of all workloads.
const WORKLOADS: &str =
    "ready, idle, disk, net, cpu, syscall, page-fault, price, calls, serve, inspect";

/// The largest block of one disk operation. A mistyped unit should not take all memory.
const LARGEST_BLOCK: ByteSize = ByteSize::mib(64);
/// The alignment that `O_DIRECT` needs on disks with sectors of 512 bytes.
const DIRECT_ALIGNMENT: u64 = 512;

/// The most operations at once, each of which has a thread and a block.
const DEEPEST: NonZeroU64 = NonZeroU64::new(256).unwrap();

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `--help`: the usage is printed.
    Help,
    /// `inspect`: see [`crate::inspect`].
    Inspect,
    /// A workload is run.
    Run {
        /// The workload and its parameters.
        workload: Workload,
        /// Whether the workload's timed work waits for a line of standard input.
        waits: bool,
    },
}

/// The command line names no workload.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// The command line names no workload.
    #[error("no workload is named: one of {WORKLOADS} is needed")]
    NoWorkload,
    /// The command line names a workload that does not exist.
    #[error("unknown workload {name:?}: one of {WORKLOADS} is needed")]
    UnknownWorkload {
        /// The name that was given.
        name: OsString,
    },
    /// An option that the workload needs is missing.
    #[error("workload {workload} needs {option}")]
    Missing {
        /// The name of the workload.
        workload: &'static str,
        /// The name of the option.
        option: &'static str,
    },
    /// The value of an option cannot be used.
    #[error("{option} {value:?}: {needed}")]
    Value {
        /// The name of the option.
        option: &'static str,
        /// The value that was given.
        value: String,
        /// What would be accepted.
        needed: Cow<'static, str>,
    },
    /// An argument is no option, or an option lacks its value.
    #[error("bad command line")]
    Syntax(#[from] lexopt::Error),
}

/// Reads a command line.
///
/// # Errors
/// The command line is none that [`USAGE`] shows.
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
            Some("serve") => Workload::Serve(serve(&mut parser)?),
            _ => return Err(UsageError::UnknownWorkload { name }),
        },
        Some(option) => return Err(option.unexpected().into()),
    };
    Ok(Command::Run { workload, waits })
}

/// Reads `ready`, with or without `--libc`. Without the option, the program's entry point usually
/// serves `ready`, and this function is never reached.
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

/// The value of the only option that `isobench-workload` has.
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
    let (mut kind, mut block, mut bytes, mut path) = (None, None, None, None);
    let (mut direct, mut depth) = (false, NonZeroU64::MIN);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("op") => {
                let value = parser.value()?;
                kind = Some(operation(value, DiskOperation::ALL, DiskOperation::name)?);
            }
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
        operation: kind.ok_or(missing("--op"))?,
        block: block.ok_or(missing("--block"))?,
        bytes: bytes.ok_or(missing("--bytes"))?,
        path: path.ok_or(missing("--path"))?,
        direct,
        depth,
    };
    check_sizes(&disk)?;
    Ok(disk)
}

fn serve(parser: &mut Parser) -> Result<Serve, UsageError> {
    let (mut touch, mut compute, mut is_template) = (None, Duration::ZERO, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("touch") => touch = Some(size("--touch", parser.value()?)?),
            Arg::Long("compute") => {
                compute = Duration::from_millis(count("--compute", parser.value()?)?.get());
            }
            Arg::Long("template") => is_template = true,
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Serve {
        touch: touch.ok_or(UsageError::Missing {
            workload: "serve",
            option: "--touch",
        })?,
        compute,
        is_template,
    })
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
                needed: "one of receive, send, echo, connect is needed".into(),
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
        needed: "an address and a port such as 198.18.0.1:4000 are needed".into(),
    })
}

/// Checks that the options of `disk` fit each other.
fn check_sizes(disk: &Disk) -> Result<(), UsageError> {
    let (block, bytes) = (disk.block.as_u64(), disk.bytes.as_u64());
    let refuse = |option, value: &dyn Display, needed: &'static str| {
        Err(UsageError::Value {
            option,
            value: value.to_string(),
            needed: needed.into(),
        })
    };
    if disk.block > LARGEST_BLOCK {
        return refuse("--block", &disk.block, "64 MiB is the largest block");
    }
    if disk.direct && !block.is_multiple_of(DIRECT_ALIGNMENT) {
        let needed = "with --direct a multiple of 512 bytes is needed";
        return refuse("--block", &disk.block, needed);
    }
    if disk.direct && disk.operation.is_of_files() {
        let needed = "small files are made through the page cache: leave out --direct";
        return refuse("--op", &disk.operation.name(), needed);
    }
    if disk.depth > DEEPEST || disk.depth.get() > 1 && !disk.operation.is_random() {
        let needed = "1 is needed, or up to 256 with rand-read and rand-write";
        return refuse("--depth", &disk.depth, needed);
    }
    if !bytes.is_multiple_of(block) {
        return refuse("--bytes", &disk.bytes, "a multiple of --block is needed");
    }
    Ok(())
}

/// Reads the value of `--op` as one of `all` operations, which have these names.
fn operation<T: Copy>(
    value: OsString,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<T, UsageError> {
    let value = value.string()?;
    let mut operations = all.iter().copied();
    let found = operations.find(|operation| name(*operation) == value);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().copied().map(name).collect();
        UsageError::Value {
            option: "--op",
            value,
            needed: format!("one of {} is needed", names.join(", ")).into(),
        }
    })
}

fn size(option: &'static str, value: OsString) -> Result<ByteSize, UsageError> {
    let value = value.string()?;
    match value.parse() {
        Ok(size) if size > ByteSize(0) => Ok(size),
        _ => Err(UsageError::Value {
            option,
            value,
            needed: "a size above zero such as 4KiB or 64MiB is needed".into(),
        }),
    }
}

fn count(option: &'static str, value: OsString) -> Result<NonZeroU64, UsageError> {
    let value = value.string()?;
    value.parse().map_err(|_| UsageError::Value {
        option,
        value,
        needed: "a whole number above zero is needed".into(),
    })
}

#[cfg(test)]
mod tests;
