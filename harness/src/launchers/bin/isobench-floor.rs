//! The floors: the least time that the kernel takes for the mechanism of a rung. The program is a
//! launcher, as that of the rung is, and does nothing but what the mechanism needs.
#![expect(unsafe_code, reason = "claims the inherited descriptors")]

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use isobench::instance::marks::MarkWriter;
use isobench::launchers::{Failure, InheritedDescriptors, exit_code};
use isobench::streams::say;
use isobench_vmm::bare::floor::{FloorError, StoppedVm};
use isobench_workloads::protocol::Message;
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str = "\
usage: isobench-floor namespaces [--marks-fd N] -- PROGRAM [ARGS...] \
| kvm [--marks-fd N] [--exits-for MILLISECONDS]";

/// The number of VM exits before those that are counted. The first exits are slower than later
/// ones, and the trial shows how long an exit takes.
const TRIAL_EXITS: u32 = 64;

/// The first mark of every launcher.
const START: &str = "start";

/// The parsed command line.
struct Request {
    floor: OsString,
    marks: MarkWriter,
    /// How long the guest leaves its VM over and over.
    exits_for: Option<Duration>,
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    // SAFETY: this is the first statement of the program, so nothing has been opened yet.
    let inherited = unsafe { InheritedDescriptors::claim() };
    exit_code("isobench-floor", run(inherited))
}

fn run(inherited: InheritedDescriptors) -> Result<u8, Failure> {
    let request =
        parse(Parser::from_env(), inherited).map_err(|error| Failure::bad_usage(error, USAGE))?;
    request.marks.mark(START);
    match request.floor.to_str() {
        Some("namespaces") if !request.command.is_empty() => namespaces(&request),
        Some("kvm") if request.command.is_empty() => match request.exits_for {
            None => kvm(&request.marks),
            Some(window) => repeated_exits(window),
        },
        _ => Err(Failure::bad_usage(
            "there is no such floor, or its program is missing",
            USAGE,
        )),
    }
}

fn parse(
    mut parser: Parser,
    mut inherited: InheritedDescriptors,
) -> Result<Request, lexopt::Error> {
    let mut floor = None;
    let mut marks = MarkWriter::default();
    let mut exits_for = None;
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = inherited.marks(parser.value()?.parse()?)?,
            Arg::Long("exits-for") => {
                exits_for = Some(Duration::from_millis(parser.value()?.parse()?));
            }
            Arg::Value(name) if floor.is_none() => floor = Some(name),
            Arg::Value(program) => {
                command.push(program);
                command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Request {
        floor: floor.ok_or("no floor is given")?,
        marks,
        exits_for,
        command,
    })
}

fn namespaces(request: &Request) -> Result<u8, Failure> {
    let end = isobench_container::floor::run(&request.command, &request.marks)
        .map_err(Failure::of_launcher)?;
    Ok(end.exit_code())
}

/// Makes a VM that exits once, and prints the ready line in place of a workload.
fn kvm(marks: &MarkWriter) -> Result<u8, Failure> {
    let vm = isobench_vmm::bare::floor::first_exit(&|phase| marks.mark(phase.name()))
        .map_err(Failure::of_launcher)?;
    say(Message::Ready).map_err(Failure::of_launcher)?;
    // The kernel takes the VM down with the process, as in the microVM's launcher.
    std::mem::forget(vm);
    Ok(0)
}

/// Leaves the guest about as often as fits into `window`. Prints the begin line before and the end
/// line after, as a workload does.
fn repeated_exits(window: Duration) -> Result<u8, Failure> {
    let mut vm = isobench_vmm::bare::floor::first_exit(&|_| {}).map_err(Failure::of_launcher)?;
    let begun = Instant::now();
    exit_times(&mut vm, TRIAL_EXITS).map_err(Failure::of_launcher)?;
    let fit = window.as_nanos() * u128::from(TRIAL_EXITS) / begun.elapsed().as_nanos().max(1);
    let count = u32::try_from(fit).unwrap_or(u32::MAX).max(1);
    say(Message::Begin).map_err(Failure::of_launcher)?;
    // If the harness has ended, the kernel kills this launcher: the result doesn't matter.
    let _ = io::stdin().read_line(&mut String::new());
    exit_times(&mut vm, count).map_err(Failure::of_launcher)?;
    let end = Message::End {
        operations: count.into(),
        bytes: ByteSize(0),
    };
    say(end).map_err(Failure::of_launcher)?;
    Ok(0)
}

/// Enters and leaves the guest `count` times.
fn exit_times(vm: &mut StoppedVm, count: u32) -> Result<(), FloorError> {
    (0..count).try_for_each(|_| vm.exit_again())
}
