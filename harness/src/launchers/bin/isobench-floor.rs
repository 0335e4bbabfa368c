//! The floors: what the kernel alone takes for the mechanism of a rung, by a launcher like the rung's own.

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use isobench::instance::marks::MarkWriter;
use isobench::launchers::{self, Failure, marks_to};
use isobench_vmm::bare::floor::{FloorError, StoppedVm};
use isobench_workloads::protocol::Message;
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str = "usage: isobench-floor namespaces [--marks-fd N] -- PROGRAM [ARGS...] | kvm [--marks-fd N] [--exits-for MILLISECONDS]";

/// Exits before those that are counted: what is slower the first times is behind it then, and how long one takes is known.
const TRIAL: u32 = 64;

/// The first mark of every launcher.
const START: &str = "start";

/// What the command line asks for.
struct Request {
    floor: OsString,
    marks: MarkWriter,
    /// For how long the guest comes out over and over.
    exits_for: Option<Duration>,
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    launchers::end("isobench-floor", run())
}

fn run() -> Result<u8, Failure> {
    let request = parse(Parser::from_env()).map_err(|error| Failure::bad_usage(error, USAGE))?;
    request.marks.mark(START);
    match request.floor.to_str() {
        Some("namespaces") if !request.command.is_empty() => namespaces(&request),
        Some("kvm") if request.command.is_empty() => match request.exits_for {
            None => kvm(&request.marks),
            Some(window) => exits(window),
        },
        _ => Err(Failure::bad_usage("no such floor, or no program", USAGE)),
    }
}

fn parse(mut parser: Parser) -> Result<Request, lexopt::Error> {
    let mut floor = None;
    let mut marks = MarkWriter::default();
    let mut exits_for = None;
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = marks_to(parser.value()?.parse()?)?,
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
    let on_phase = |phase: isobench_container::Phase| request.marks.mark(phase.name());
    let end = isobench_container::floor::run(&request.command, &on_phase)
        .map_err(Failure::of_launcher)?;
    Ok(end.exit_code())
}

/// Ends with the ready line, as a workload would print it if there were a program.
fn kvm(marks: &MarkWriter) -> Result<u8, Failure> {
    let vm = isobench_vmm::bare::floor::first_exit(&|phase| marks.mark(phase.name()))
        .map_err(Failure::of_launcher)?;
    println!("{}", Message::Ready);
    // As in the microVM's launcher, the kernel takes it down with the process.
    std::mem::forget(vm);
    Ok(0)
}

/// Comes out of the guest about as often as fits into `window`, between the lines that a workload would print around it.
fn exits(window: Duration) -> Result<u8, Failure> {
    let mut vm = isobench_vmm::bare::floor::first_exit(&|_| {}).map_err(Failure::of_launcher)?;
    let begun = Instant::now();
    come_out(&mut vm, TRIAL).map_err(Failure::of_launcher)?;
    let fit = window.as_nanos() * u128::from(TRIAL) / begun.elapsed().as_nanos().max(1);
    let count = u32::try_from(fit).unwrap_or(u32::MAX).max(1);
    println!("{}", Message::Begin);
    // A harness that has gone away ends this launcher by other means.
    let _ = io::stdin().read_line(&mut String::new());
    come_out(&mut vm, count).map_err(Failure::of_launcher)?;
    let end = Message::End {
        operations: count.into(),
        bytes: ByteSize(0),
    };
    println!("{end}");
    Ok(0)
}

fn come_out(vm: &mut StoppedVm, count: u32) -> Result<(), FloorError> {
    (0..count).try_for_each(|_| vm.exit_again())
}
