#![expect(
    unsafe_code,
    reason = "takes over the descriptor that the harness passed by number"
)]
//! The launcher of the namespace container: one process, one container, one program.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::{BorrowedFd, FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use isobench::marks::MarkWriter;
use isobench_container::{Config, Container, ForwardedSignals, Phase, RootPolicy, Spec};
use lexopt::{Arg, Parser, ValueExt as _};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};

const USAGE: &str = "usage: isobench-container [--marks-fd N] --layer DIR... [--scratch DIR] [--root auto|overlay|binds] \
                     [--bind HOST:INSIDE[:ro]]... [--cgroup DIR]... [--memory SIZE] [--pids N] [--hostname NAME] \
                     [--env KEY=VALUE]... [--workdir DIR] [--keep-net] -- PROGRAM [ARGS...]";

/// Exit code of a request that cannot be served: a bad flag, layer or bind.
const BAD_REQUEST: u8 = 2;
/// Exit code of a launcher that failed, as with docker and podman.
const LAUNCHER_FAILED: u8 = 125;

/// A message for the user, and the exit code that goes with it.
struct Failure {
    code: u8,
    message: String,
}

/// The error and its causes, in one line.
fn failure(code: u8, error: impl Into<Box<dyn Error>>) -> Failure {
    let error = error.into();
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(message, ": {cause}");
        source = cause.source();
    }
    Failure { code, message }
}

fn bad_request(error: impl Into<Box<dyn Error>>) -> Failure {
    failure(BAD_REQUEST, error)
}

fn launcher_failed(error: impl Into<Box<dyn Error>>) -> Failure {
    failure(LAUNCHER_FAILED, error)
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, message }) => {
            eprintln!("isobench-container: {message}");
            ExitCode::from(code)
        }
    }
}

fn run() -> Result<u8, Failure> {
    let signals = ForwardedSignals::block().map_err(launcher_failed)?;
    let (spec, marks) = parse(Parser::from_env()).map_err(|error| {
        let Failure { code, message } = bad_request(error);
        failure(code, format!("{message}; {USAGE}"))
    })?;
    marks.mark(Phase::Start.name());
    let config = Config::new(spec).map_err(bad_request)?;
    let running = Container::new(config)
        .launch(&|phase| marks.mark(phase.name()))
        .map_err(launcher_failed)?;
    // Whoever reads the marks gets their end.
    drop(marks);
    let exited = running.wait_forwarding(&signals).map_err(launcher_failed)?;
    if exited.out_of_memory() {
        eprintln!("isobench-container: the program was killed because it hit its memory limit");
    }
    Ok(exited.end().exit_code())
}

/// Reads the command line, and takes over the pipe for the marks.
fn parse(mut parser: Parser) -> Result<(Spec, MarkWriter), lexopt::Error> {
    let mut spec = Spec::default();
    let mut marks = MarkWriter::default();
    let mut command: Vec<OsString> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = MarkWriter::new(inherited(parser.value()?.parse()?)?),
            Arg::Long("layer") => spec.layers.push(parser.value()?.into()),
            Arg::Long("scratch") => spec.scratch = Some(parser.value()?.into()),
            Arg::Long("root") => spec.root = parser.value()?.parse_with(root_policy)?,
            Arg::Long("bind") => spec.binds.push(parser.value()?.parse()?),
            Arg::Long("cgroup") => spec.cgroups.push(parser.value()?.into()),
            Arg::Long("memory") => spec.memory = Some(parser.value()?.parse()?),
            Arg::Long("pids") => spec.pids = Some(parser.value()?.parse()?),
            Arg::Long("hostname") => spec.hostname = Some(parser.value()?),
            Arg::Long("env") => spec.environment.push(parser.value()?),
            Arg::Long("workdir") => spec.working_directory = Some(parser.value()?.into()),
            Arg::Long("keep-net") => spec.host_network = true,
            Arg::Value(program) => {
                command.push(program);
                command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    let mut command = command.into_iter();
    spec.program = command.next().ok_or("no program is given")?.into();
    spec.arguments = command.collect();
    Ok((spec, marks))
}

fn root_policy(text: &str) -> Result<RootPolicy, &'static str> {
    match text {
        "auto" => Ok(RootPolicy::Auto),
        "overlay" => Ok(RootPolicy::Overlay),
        "binds" => Ok(RootPolicy::Binds),
        _ => Err("it is none of auto, overlay and binds"),
    }
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
