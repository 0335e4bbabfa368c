#![expect(unsafe_code, reason = "clones the VMM by fork(2)")]
//! A program that has initialised, and its clones: each is a process of its own with a VM of its
//! own, and shares the memory that nobody has changed since.

use std::io;
use std::os::fd::AsFd as _;

use isobench::instance::marks::TEMPLATE;
use isobench::launchers::Failure;
use isobench::streams::tell;
use isobench_vmm::bare::syscalls::Personality;
use isobench_vmm::bare::{Ending, MicroVm, Phase, RunError, Stopped, confine};
use isobench_vmm::devices::console::Console;
use isobench_workloads::template::{Streams, next_request};
use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::{ForkResult, fork, getpid, getppid};

use crate::request::Request;

/// Checks that the program can be a template, and that requests can come.
pub fn check(request: &Request) -> Result<(), Failure> {
    let is_socket = fstat(io::stdin()).is_ok_and(|status| {
        SFlag::from_bits_truncate(status.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
    });
    if !is_socket {
        return Err(Failure::bad_request(
            "--template takes requests for clones from a Unix socket as standard input, which is \
             something else here",
        ));
    }
    match request.beyond_memory() {
        None => Ok(()),
        Some(option) => Err(Failure::bad_request(format!(
            "--template can't be combined with {option}: clones would share it"
        ))),
    }
}

/// Runs the program up to its first input, and makes a clone for each request. Returns the
/// program's end in each clone, and the template's own end.
pub fn run(
    vm: &mut MicroVm,
    personality: &mut Personality,
    request: &Request,
    on_phase: &(dyn Fn(Phase) + Sync),
) -> Result<Ending, Failure> {
    // SAFETY: no handler is installed: the kernel itself takes clones that have ended.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }.map_err(Failure::of_launcher)?;
    let stopped = vm.run_to_input(personality, &confine::confine_template, on_phase);
    match stopped {
        Ok(Stopped::AtInput) => {}
        Ok(Stopped::Ended(ending)) => return Ok(ending),
        Err(error @ RunError::TemplateThreads { .. }) => return Err(Failure::bad_request(error)),
        Err(error) => return Err(Failure::of_launcher(error)),
    }
    request.marks.mark(TEMPLATE);
    let (socket, template) = (io::stdin(), getpid());
    loop {
        let streams = match next_request(socket.as_fd()) {
            Ok(Some(streams)) => streams,
            Ok(None) => return Ok(Ending::Exited(0)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tell(format_args!("isobench-vmm: {error}"));
                continue;
            }
            Err(error) => return Err(Failure::of_launcher(error)),
        };
        // SAFETY: the VMM has one thread, as its guest has one vCPU.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                prctl::set_pdeathsig(Signal::SIGKILL).map_err(Failure::of_launcher)?;
                // A template that had died by then tells nobody.
                if getppid() != template {
                    return Ok(Ending::Exited(0));
                }
                return run_clone(vm, personality, streams);
            }
            Ok(ForkResult::Parent { .. }) => {}
            Err(errno) => tell(format_args!("isobench-vmm: making a clone: {errno}")),
        }
    }
}

/// Lets the program go on in a VM of this process's own.
fn run_clone(
    vm: &mut MicroVm,
    personality: &mut Personality,
    streams: Streams,
) -> Result<Ending, Failure> {
    let error = io::stderr().as_fd().try_clone_to_owned();
    let error = error.map_err(Failure::of_launcher)?;
    personality.set_console(Console::new(streams.input, streams.output, error));
    vm.renew().map_err(Failure::of_launcher)?;
    vm.run(personality, &confine::confine, &|_| {})
        .map_err(Failure::of_launcher)
}
