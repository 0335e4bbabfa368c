#![expect(
    unsafe_code,
    reason = "ends the process without taking the VM down piece by piece"
)]
//! The launcher of the bare microVM: one process, one VM, one program.

use std::error::Error;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;
use isobench::launcher::{self, Failure, marks_to};
use isobench::marks::MarkWriter;
use isobench_vmm::bare::loader;
use isobench_vmm::bare::program::Program;
use isobench_vmm::bare::stack::Start;
use isobench_vmm::bare::syscalls::{FileTree, Personality, Settings};
use isobench_vmm::config::{Config, DEFAULT_MEMORY};
use isobench_vmm::devices::block::BlockDevice;
use isobench_vmm::devices::console::Console;
use isobench_vmm::memory::GuestRam;
use isobench_vmm::microvm::{Ended, MicroVm};
use isobench_vmm::phase::Phase;
use isobench_vmm::{confine, probe};
use lexopt::{Arg, Parser, ValueExt as _};

const USAGE: &str = "usage: isobench-vmm run [--memory SIZE] [--disk FILE] [--file GUEST=HOST]... [--env KEY=VALUE]... \
                     [--trace] [--marks-fd N] -- PROGRAM [ARGS...] | probe";

fn main() -> ExitCode {
    let result = match std::env::args_os()
        .nth(1)
        .as_deref()
        .and_then(|word| word.to_str())
    {
        Some("run") => run(),
        Some("probe") => print_probe(),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(0)
        }
        _ => Err(Failure::bad_usage("neither `run` nor `probe`", USAGE)),
    };
    launcher::end("isobench-vmm", result)
}

/// What `run` was asked for.
struct Request {
    marks: MarkWriter,
    memory: ByteSize,
    disk: Option<PathBuf>,
    files: Vec<(PathBuf, PathBuf)>,
    environment: Vec<CString>,
    trace: bool,
    program: PathBuf,
    arguments: Vec<CString>,
}

fn run() -> Result<u8, Failure> {
    let request = parse().map_err(|error| Failure::bad_usage(error, USAGE))?;
    let marks = &request.marks;
    let ended = |phase: Phase| marks.mark(phase.name());
    ended(Phase::Start);
    let (config, mut personality) = prepare(&request).map_err(Failure::bad_request)?;
    let mut vm = MicroVm::boot(&config, &ended).map_err(Failure::of_launcher)?;
    confine::confine().map_err(Failure::of_launcher)?;
    ended(Phase::Load);
    let end = vm
        .run(&mut personality, &ended)
        .map_err(Failure::of_launcher)?;
    if let Ended::Died(death) = &end {
        eprintln!("isobench-vmm: {death}");
    }
    // SAFETY: ends the process; nothing is buffered. The kernel takes the VM down with it, faster than piece by piece.
    unsafe { libc::_exit(end.code().into()) }
}

/// Opens all that the guest is given.
fn prepare(request: &Request) -> Result<(Config, Personality), Box<dyn Error>> {
    GuestRam::check_size(request.memory)?;
    let program = Program::open(&request.program)?;
    let name = request.program.file_name().unwrap_or_default();
    let path = Path::new("/").join(name);
    let mut tree = FileTree::new(&path, program.file.try_clone()?)?;
    for (guest, host) in &request.files {
        tree.add_file(guest, host)?;
    }
    let disk = request.disk.as_deref().map(BlockDevice::open).transpose()?;
    let stack = loader::stack_size(request.memory.as_u64());
    let personality = Personality::new(Settings {
        tree,
        console: Console::standard()?,
        disk,
        memory: request.memory,
        stack: ByteSize(stack),
        trace: request.trace,
    })?;
    let start = Start {
        path: CString::new(path.into_os_string().into_vec())?,
        arguments: request.arguments.clone(),
        environment: request.environment.clone(),
        features: Start::host_features(),
    };
    let memory = request.memory;
    Ok((
        Config {
            memory,
            program,
            start,
        },
        personality,
    ))
}

/// Reads the command line.
fn parse() -> Result<Request, Box<dyn Error>> {
    let mut words = Parser::from_env();
    let _subcommand = words.next()?;
    let mut request = Request {
        marks: MarkWriter::default(),
        memory: DEFAULT_MEMORY,
        disk: None,
        files: Vec::new(),
        environment: Vec::new(),
        trace: false,
        program: PathBuf::new(),
        arguments: Vec::new(),
    };
    while let Some(word) = words.next()? {
        match word {
            Arg::Long("marks-fd") => request.marks = marks_to(words.value()?.parse()?)?,
            Arg::Long("memory") => request.memory = words.value()?.parse()?,
            Arg::Long("disk") => request.disk = Some(words.value()?.into()),
            Arg::Long("file") => request.files.push(file_pair(&words.value()?.string()?)?),
            Arg::Long("env") => request.environment.push(environment_pair(words.value()?)?),
            Arg::Long("trace") => request.trace = true,
            Arg::Value(program) => {
                request
                    .arguments
                    .push(CString::new(program.clone().into_vec())?);
                request.program = program.into();
                for argument in words.raw_args()? {
                    request.arguments.push(CString::new(argument.into_vec())?);
                }
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if request.program.as_os_str().is_empty() {
        return Err("no program given".into());
    }
    Ok(request)
}

/// `GUEST=HOST`.
fn file_pair(pair: &str) -> Result<(PathBuf, PathBuf), Box<dyn Error>> {
    let (guest, host) = pair
        .split_once('=')
        .ok_or_else(|| format!("--file {pair} is not GUEST=HOST"))?;
    Ok((guest.into(), host.into()))
}

/// `KEY=VALUE`.
fn environment_pair(pair: OsString) -> Result<CString, Box<dyn Error>> {
    let bytes = pair.into_vec();
    if !bytes.iter().skip(1).any(|&byte| byte == b'=') {
        return Err(format!("--env {} is not KEY=VALUE", String::from_utf8_lossy(&bytes)).into());
    }
    Ok(CString::new(bytes)?)
}

/// Measures this host's KVM and prints what it is.
fn print_probe() -> Result<u8, Failure> {
    let found = probe::probe().map_err(|error| Failure::new(1, error))?;
    let obstacle = found.guest_kernel_obstacle();
    println!(
        r#"{{"kind":"{}","ring0_mips":{:.2},"syscall_changes_ring":{},"guest_kernel_obstacle":{}}}"#,
        found.kind,
        found.ring0_mips,
        found.syscall_changes_ring,
        obstacle.map_or_else(|| "null".to_owned(), |text| format!("{text:?}")),
    );
    Ok(0)
}
