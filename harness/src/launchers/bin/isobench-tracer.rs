//! Counts the system calls to the host's kernel that a command and all processes that it starts
//! make: a thin main over `isobench::launchers::tracer`.
#![expect(unsafe_code, reason = "claims the inherited descriptors")]

use std::ffi::OsString;
use std::process::ExitCode;

use isobench::instance::marks::MarkWriter;
use isobench::launchers::tracer::{Detail, follow};
use isobench::launchers::{Failure, InheritedDescriptors, exit_code};
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str = "usage: isobench-tracer [--marks-fd N] [--each-call] -- PROGRAM [ARGS...]";

fn main() -> ExitCode {
    // SAFETY: this is the first statement of the program, so nothing has been opened yet.
    let inherited = unsafe { InheritedDescriptors::claim() };
    exit_code("isobench-tracer", run(inherited))
}

fn run(mut inherited: InheritedDescriptors) -> Result<u8, Failure> {
    let (marks, detail, command) = parse(Parser::from_env(), &mut inherited)
        .map_err(|error| Failure::bad_usage(error, USAGE))?;
    if command.is_empty() {
        return Err(Failure::bad_usage("no program is given", USAGE));
    }
    follow(&command, &marks, detail).map_err(Failure::of_launcher)
}

fn parse(
    mut parser: Parser,
    inherited: &mut InheritedDescriptors,
) -> Result<(MarkWriter, Detail, Vec<OsString>), lexopt::Error> {
    let mut marks = MarkWriter::default();
    let mut detail = Detail::Totals;
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = inherited.marks(parser.value()?.parse()?)?,
            Arg::Long("each-call") => detail = Detail::EachCall,
            Arg::Value(program) => {
                command.push(program);
                command.extend(parser.raw_args()?);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok((marks, detail, command))
}
