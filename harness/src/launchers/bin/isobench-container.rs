//! The launcher of the namespace container: one process, one container, one program.
#![expect(unsafe_code, reason = "claims the inherited descriptors")]

use std::ffi::OsString;
use std::process::ExitCode;

use isobench::host::signals::of_program;
use isobench::instance::marks::MarkWriter;
use isobench::launchers::{Failure, InheritedDescriptors, exit_code};
use isobench::streams::tell;
use isobench_container::{
    Config, Container, ForwardedSignals, Phase, RootPolicy, Spec, parse_size,
};
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str = "\
usage: isobench-container [--marks-fd N] --layer DIR... [--scratch DIR] \
[--root auto|overlay|binds] [--bind HOST:INSIDE[:ro]]... [--cgroup DIR]... [--memory SIZE] \
[--pids N] [--cpus N] [--io-read-bps PATH:RATE]... [--io-write-bps PATH:RATE]... [--usage] \
[--hostname NAME] [--env KEY=VALUE]... [--workdir DIR] [--user UID:GID[:GROUP,...]] \
[--net none|loopback|veth|host] [--mechanisms all|none|NAME,...] [--argv0 NAME] [--preserve-fds N] \
[--terminals] [--show-cgroups] [--hold] -- PROGRAM [ARGS...]";

fn main() -> ExitCode {
    // SAFETY: this is the first statement of the program, so nothing has been opened yet.
    let inherited = unsafe { InheritedDescriptors::claim() };
    exit_code("isobench-container", run(inherited))
}

fn run(mut inherited: InheritedDescriptors) -> Result<u8, Failure> {
    let signals = ForwardedSignals::block().map_err(Failure::of_launcher)?;
    let (mut spec, marks) = parse(Parser::from_env(), &mut inherited)
        .map_err(|error| Failure::bad_usage(error, USAGE))?;
    spec.signals = of_program(signals.mask_before());
    marks.mark(Phase::Start.name());
    let preserved = inherited.close_rest(&marks);
    let config = Config::new(spec).map_err(Failure::bad_request)?;
    let running = Container::new(config)
        .launch(&marks)
        .map_err(Failure::of_launcher)?;
    // The readers of the marks, and of what is preserved, then see the end of their pipes.
    drop(marks);
    preserved.close();
    let exited = running
        .wait_forwarding(&signals)
        .map_err(Failure::of_launcher)?;
    if exited.out_of_memory() {
        tell("isobench-container: the program was killed because it hit its memory limit");
    }
    if let Some(usage) = exited.usage() {
        tell(format_args!("isobench-container: the program used {usage}"));
    }
    Ok(exited.end().exit_code())
}

/// Parses the command line, and takes the pipe for marks from the inherited descriptors.
fn parse(
    mut parser: Parser,
    inherited: &mut InheritedDescriptors,
) -> Result<(Spec, MarkWriter), lexopt::Error> {
    let mut spec = Spec::default();
    let mut marks = MarkWriter::default();
    let mut command: Vec<OsString> = Vec::new();
    let mut holds = false;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("marks-fd") => marks = inherited.marks(parser.value()?.parse()?)?,
            Arg::Long("layer") => spec.layers.push(parser.value()?.into()),
            Arg::Long("scratch") => spec.scratch = Some(parser.value()?.into()),
            Arg::Long("root") => spec.root = parser.value()?.parse_with(root_policy)?,
            Arg::Long("bind") => spec.binds.push(parser.value()?.parse()?),
            Arg::Long("cgroup") => spec.cgroups.push(parser.value()?.into()),
            Arg::Long("memory") => spec.memory = Some(parser.value()?.parse_with(parse_size)?),
            Arg::Long("pids") => spec.pids = Some(parser.value()?.parse()?),
            Arg::Long("cpus") => spec.cpus = Some(parser.value()?.parse()?),
            Arg::Long("io-read-bps") => spec.io_read.push(parser.value()?.parse()?),
            Arg::Long("io-write-bps") => spec.io_write.push(parser.value()?.parse()?),
            Arg::Long("usage") => spec.usage = true,
            Arg::Long("hostname") => spec.hostname = Some(parser.value()?),
            Arg::Long("env") => spec.environment.push(parser.value()?),
            Arg::Long("workdir") => spec.working_directory = Some(parser.value()?.into()),
            Arg::Long("user") => spec.user = Some(parser.value()?.parse()?),
            Arg::Long("mechanisms") => spec.mechanisms = parser.value()?.parse()?,
            Arg::Long("preserve-fds") => {
                spec.preserved = inherited.preserve(parser.value()?.parse()?)?;
            }
            Arg::Long("show-cgroups") => spec.shows_cgroups = true,
            Arg::Long("hold") => holds = true,
            Arg::Long("terminals") => spec.terminals = true,
            Arg::Long("argv0") => spec.name = Some(parser.value()?),
            Arg::Long("net") => spec.network = parser.value()?.parse()?,
            Arg::Value(program) => {
                command.push(program);
                command.extend(parser.raw_args()?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if holds {
        marks.hold_after(Phase::Exec.name())?;
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
        _ => Err("expected auto, overlay or binds"),
    }
}
