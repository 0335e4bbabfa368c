//! The floors: what the kernel alone takes for the mechanism of a rung, by a launcher like the rung's own.

use std::ffi::OsString;
use std::process::ExitCode;

use isobench::launcher::{self, Failure, marks_to};
use isobench::marks::MarkWriter;
use isobench_workloads::protocol::Message;
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str =
    "usage: isobench-floor namespaces [--marks-fd N] -- PROGRAM [ARGS...] | kvm [--marks-fd N]";

/// The first mark of every launcher.
const START: &str = "start";

/// What the command line asks for.
struct Request {
    floor: OsString,
    marks: MarkWriter,
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    launcher::end("isobench-floor", run())
}

fn run() -> Result<u8, Failure> {
    let request = parse(Parser::from_env()).map_err(|error| Failure::bad_usage(error, USAGE))?;
    request.marks.mark(START);
    match request.floor.to_str() {
        Some("namespaces") if !request.command.is_empty() => namespaces(&request),
        Some("kvm") if request.command.is_empty() => kvm(&request.marks),
        _ => Err(Failure::bad_usage("no such floor, or no program", USAGE)),
    }
}

fn parse(mut parser: Parser) -> Result<Request, lexopt::Error> {
    let mut floor = None;
    let mut marks = MarkWriter::default();
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = marks_to(parser.value()?.parse()?)?,
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
    let vm = isobench_vmm::floor::first_exit(&|phase| marks.mark(phase.name()))
        .map_err(Failure::of_launcher)?;
    println!("{}", Message::Ready);
    // As in the microVM's launcher, the kernel takes it down with the process.
    std::mem::forget(vm);
    Ok(0)
}
