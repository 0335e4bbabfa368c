#![expect(
    unsafe_code,
    reason = "takes over the descriptor that the harness passed by number; ends without ceremony"
)]
//! The launcher of the bare microVM: one process, one VM, one program.

use std::error::Error;
use std::ffi::{CString, OsString};
use std::fmt::Write as _;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;
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
                     [--trace] [--marks-fd N] -- PROGRAM [ARGS...]\n       isobench-vmm probe";

/// Exit code of a request that cannot be served: a bad flag, program, disk or file.
const BAD_REQUEST: u8 = 2;
/// Exit code of a VMM that failed, as with docker and podman.
const VMM_FAILED: u8 = 125;

/// A message for the user, and the exit code that goes with it.
struct Failure {
    code: u8,
    message: String,
}

/// Says that `error` is the request's fault.
fn bad_request(error: impl Into<Box<dyn Error>>) -> Failure {
    failure(BAD_REQUEST, error)
}

/// Says that `error` is the VMM's or the host's fault.
fn vmm_failed(error: impl Into<Box<dyn Error>>) -> Failure {
    failure(VMM_FAILED, error)
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
        _ => Err(bad_request(USAGE)),
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        eprintln!("isobench-vmm: {}", failure.message);
        failure.code
    }))
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
    let request = parse()?;
    let marks = &request.marks;
    let ended = |phase: Phase| marks.mark(phase.name());
    ended(Phase::Start);
    let (config, mut personality) = prepare(&request).map_err(bad_request)?;
    let mut vm = MicroVm::boot(&config, &ended).map_err(vmm_failed)?;
    confine::confine().map_err(vmm_failed)?;
    ended(Phase::Load);
    let end = vm.run(&mut personality, &ended).map_err(vmm_failed)?;
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
fn parse() -> Result<Request, Failure> {
    parse_words().map_err(|error| {
        let text = failure(BAD_REQUEST, error).message;
        bad_request(format!("{text}\n{USAGE}"))
    })
}

fn parse_words() -> Result<Request, Box<dyn Error>> {
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

/// The writer of marks to an inherited descriptor.
fn marks_to(number: i32) -> Result<MarkWriter, Box<dyn Error>> {
    if number <= 2 || !Path::new("/proc/self/fd").join(number.to_string()).exists() {
        return Err(format!("--marks-fd {number} is not an open descriptor above 2").into());
    }
    // SAFETY: it is open (checked), and the harness passed it for this use alone; nothing was opened before it.
    Ok(MarkWriter::new(unsafe { OwnedFd::from_raw_fd(number) }))
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
    let found = probe::probe().map_err(|error| failure(1, error))?;
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
