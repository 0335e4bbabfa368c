#![expect(
    unsafe_code,
    reason = "ends the process without taking the VM down piece by piece"
)]
//! The guest without an OS.

use std::error::Error;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use bytesize::ByteSize;
use isobench::host::signals;
use isobench::launchers::Failure;
use isobench::streams::tell;
use isobench_container::{HOST_ADDRESS, LINK_PREFIX, PacketHeader, Tap};
use isobench_vmm::bare::address_space::GuestRam;
use isobench_vmm::bare::program::Program;
use isobench_vmm::bare::stack::Start;
use isobench_vmm::bare::syscalls::{
    FileTree, Network as GuestNetwork, NetworkLink, Personality, RefusedProcess, Settings,
    StartSignals,
};
use isobench_vmm::bare::{Config, Ending, MicroVm, Phase, confine, loader};
use isobench_vmm::devices::console::Console;
use isobench_vmm::devices::disk::HostDisk;

use crate::request::{Access, Network, Request};
use crate::{snapshot, template};

/// Runs the program to its end.
pub fn run(request: &Request) -> Result<u8, Failure> {
    if request.is_template {
        template::check(request)?;
    }
    snapshot::check(request)?;
    let marks = &request.marks;
    let on_phase = |phase: Phase| marks.mark(phase.name());
    on_phase(Phase::Start);
    let network = match request.network {
        Network::None => GuestNetwork::None,
        Network::Loopback => GuestNetwork::Loopback,
        Network::Tap => {
            let tap = Tap::open(PacketHeader::Virtio).map_err(Failure::of_launcher)?;
            on_phase(Phase::Network);
            GuestNetwork::Link(link(tap))
        }
    };
    // The process's end drops all of it: the filter may refuse the calls that dropping takes.
    let prepared = prepare(request, network).map_err(Failure::bad_request)?;
    let mut prepared = ManuallyDrop::new(prepared);
    let (config, personality) = &mut *prepared;
    let vm = match &request.restored {
        Some(path) => {
            let identity = snapshot::identity(config)?;
            snapshot::restore(path, personality, identity, &on_phase)?
        }
        None => MicroVm::boot(config, &on_phase).map_err(Failure::of_launcher)?,
    };
    let mut vm = ManuallyDrop::new(vm);
    let end = if request.is_template {
        template::run(&mut vm, personality, request, &on_phase)?
    } else if let Some(path) = &request.snapshot {
        let file = snapshot::nameless(path)?;
        let identity = snapshot::identity(config)?;
        let into = (&file, path.as_path());
        snapshot::take(&mut vm, personality, into, identity, marks, &on_phase)?
    } else {
        vm.run(personality, &confine::confine, &on_phase)
            .map_err(|error| match request.restored {
                Some(_) => snapshot::failure_of_run(error),
                None => Failure::of_launcher(error),
            })?
    };
    if request.counts_exits {
        super::write_exit_counts(marks, vm.exits());
    }
    tell_of(&end, request.memory(), vm.refused_memory());
    if let Some(refused) = personality.refused_process() {
        tell_of_process(refused);
    }
    // SAFETY: _exit(2) ends the process, and no output is buffered. The kernel takes the VM down
    // with the process, which is faster than dropping it piece by piece.
    unsafe { libc::_exit(end.code().into()) }
}

/// The link to the host that a TAP device is.
fn link(tap: Tap) -> NetworkLink {
    NetworkLink {
        tap: tap.descriptor,
        hardware_address: tap.hardware_address,
        address: tap.address,
        prefix: LINK_PREFIX,
        host: HOST_ADDRESS,
    }
}

/// Tells how the program ended, if it ended badly.
fn tell_of(end: &Ending, memory: ByteSize, refused: Option<ByteSize>) {
    match end {
        Ending::Died(death) => tell(format_args!("isobench-vmm: {death}")),
        Ending::OutOfMemory => {
            tell(format_args!(
                "isobench-vmm: program stopped by SIGKILL: it has used up the guest's memory of \
                 {memory}: give the guest more with --memory"
            ));
            return;
        }
        Ending::Exited(_) | Ending::Signalled(_) => {}
    }
    if end.code() != 0
        && let Some(refused) = refused
    {
        tell(format_args!(
            "isobench-vmm: the program asked for {refused} of memory and the guest of {memory} did \
             not have that: give the guest more with --memory"
        ));
    }
}

/// Tells that the program has asked for a second process or another program, whatever its exit
/// code: a shell may end as if all had gone well.
fn tell_of_process(refused: RefusedProcess) {
    let name = refused.name();
    tell(format_args!(
        "isobench-vmm: the program asked for {name}, which a VM without an OS does not have: use \
         microvm-linux"
    ));
}

/// Opens the files that the guest gets.
fn prepare(
    request: &Request,
    network: GuestNetwork,
) -> Result<(Config, Personality), Box<dyn Error>> {
    GuestRam::check_size(request.memory())?;
    Config::check_processors(request.processors)?;
    let program = Program::open(&request.program)?;
    let name = request.program.file_name().unwrap_or_default();
    let path = Path::new("/").join(name);
    let mut tree = FileTree::new(&path, program.file.try_clone()?)?;
    for (guest, host) in &request.files {
        tree.add_file(guest, host)?;
    }
    if request.disks.len() > 1 {
        return Err("the bare guest has at most one disk".into());
    }
    let disk = request.disks.first().map(|disk| match disk.access {
        Access::ReadOnly => HostDisk::open_read_only(&disk.path),
        Access::Buffered | Access::Direct => HostDisk::open(&disk.path),
    });
    let disk = disk.transpose()?;
    let stack = loader::stack_size(request.memory().as_u64());
    let mut personality = Personality::new(Settings {
        tree,
        console: Console::standard()?,
        disk,
        memory: request.memory(),
        stack: ByteSize(stack),
        trace: request.trace,
    })?
    .with_network(network)
    .with_signals(StartSignals {
        ignored: signals::ignored_at_start(),
        blocked: signals::blocked()?,
    });
    let input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A snapshot's program has not got its input yet.
    if request.snapshot.is_none() && input.metadata()?.is_file() {
        personality = personality.with_input(input)?;
    }
    let start = Start {
        path: CString::new(path.into_os_string().into_vec())?,
        arguments: request.arguments.clone(),
        environment: request.environment.clone(),
        features: Start::host_features(),
    };
    let memory = request.memory();
    Ok((
        Config {
            memory,
            processors: request.processors,
            program,
            start,
        },
        personality,
    ))
}
