#![expect(
    unsafe_code,
    reason = "takes over the descriptor that the harness passed by number"
)]
//! The floors: what the kernel alone takes for the mechanism of a rung, by a launcher like the rung's own.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use isobench::marks::MarkWriter;
use isobench_workloads::protocol::Message;
use lexopt::{Arg, Parser, ValueExt as _};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

const USAGE: &str = "usage: isobench-floor namespaces [--marks-fd N] -- PROGRAM [ARGS...]\n       isobench-floor kvm [--marks-fd N]";

/// Exit code of a bad command line.
const BAD_REQUEST: u8 = 2;
/// Exit code of a floor that can't be reached, as the launchers have it.
const FAILED: u8 = 125;
/// The first mark of every launcher.
const START: &str = "start";

/// What the command line asks for.
struct Request {
    floor: OsString,
    marks: MarkWriter,
    command: Vec<OsString>,
}

fn main() -> ExitCode {
    let request = match parse(Parser::from_env()) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("isobench-floor: {error}; {USAGE}");
            return ExitCode::from(BAD_REQUEST);
        }
    };
    request.marks.mark(START);
    let result = match request.floor.to_str() {
        Some("namespaces") if !request.command.is_empty() => namespaces(&request),
        Some("kvm") if request.command.is_empty() => kvm(&request.marks),
        _ => {
            eprintln!("isobench-floor: no such floor, or no program; {USAGE}");
            return ExitCode::from(BAD_REQUEST);
        }
    };
    result.unwrap_or_else(|error| {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let _ = write!(message, ": {cause}");
            source = cause.source();
        }
        eprintln!("isobench-floor: {message}");
        ExitCode::from(FAILED)
    })
}

fn parse(mut parser: Parser) -> Result<Request, lexopt::Error> {
    let mut floor = None;
    let mut marks = MarkWriter::default();
    let mut command = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = MarkWriter::new(inherited(parser.value()?.parse()?)?),
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

fn namespaces(request: &Request) -> Result<ExitCode, Box<dyn Error>> {
    let end = isobench_container::floor::run(&request.command, &|phase| {
        request.marks.mark(phase.name());
    })?;
    Ok(ExitCode::from(end.exit_code()))
}

/// Ends with the ready line, as a workload would print it if there were a program.
fn kvm(marks: &MarkWriter) -> Result<ExitCode, Box<dyn Error>> {
    isobench_vmm::floor::first_exit(&|phase| marks.mark(phase.name()))?;
    println!("{}", Message::Ready);
    Ok(ExitCode::SUCCESS)
}

/// The descriptor `number`, if it is one that we inherited; from here on `execve` closes it.
fn inherited(number: i32) -> Result<OwnedFd, &'static str> {
    const REFUSED: &str = "--marks-fd takes an open descriptor above 2";
    if number <= 2 {
        return Err(REFUSED);
    }
    // SAFETY: borrowed for one call, which fails if it isn't open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|_| REFUSED)?;
    // SAFETY: it is open, and the harness passed it for this use alone; nothing was opened before it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
