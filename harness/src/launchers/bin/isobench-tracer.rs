//! Counts the system calls of the host's kernel that a command makes, with all that it starts: a thin main over
//! `isobench::launchers::tracer`.

use std::ffi::OsString;
use std::process::ExitCode;

use isobench::instance::marks::MarkWriter;
use isobench::launchers::tracer::follow;
use isobench::launchers::{self, Failure, marks_to};
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str = "usage: isobench-tracer [--marks-fd N] -- PROGRAM [ARGS...]";

fn main() -> ExitCode {
    launchers::end("isobench-tracer", run())
}

fn run() -> Result<u8, Failure> {
    let (marks, command) =
        parse(Parser::from_env()).map_err(|error| Failure::bad_usage(error, USAGE))?;
    if command.is_empty() {
        return Err(Failure::bad_usage("no program is given", USAGE));
    }
    follow(&command, &marks).map_err(Failure::of_launcher)
}

fn parse(mut parser: Parser) -> Result<(MarkWriter, Vec<OsString>), lexopt::Error> {
    let mut marks = MarkWriter::default();
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = marks_to(parser.value()?.parse()?)?,
            Arg::Value(program) => {
                command.push(program);
                command.extend(parser.raw_args()?);
            }
            _ => return Err(argument.unexpected()),
        }
    }
    Ok((marks, command))
}
