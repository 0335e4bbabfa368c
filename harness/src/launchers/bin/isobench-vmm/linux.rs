#![expect(
    unsafe_code,
    reason = "ends the process without taking the VM down piece by piece"
)]
//! The guest with a Linux kernel.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use isobench::launchers::Failure;
use isobench::streams::tell;
use isobench::targets::guest::memory;
use isobench_container::{PacketHeader, Tap};
use isobench_vmm::devices::disk::{DiskError, HostCache, HostDisk};
use isobench_vmm::devices::serial::KernelMessages;
use isobench_vmm::devices::virtio::block::Block;
use isobench_vmm::devices::virtio::net::Net;
use isobench_vmm::kvm::Hypervisor;
use isobench_vmm::linux::layout::OUTPUT_PORT;
use isobench_vmm::linux::{BootError, Config, Ending, Kernel, Machine, OnEnd, Phase, RunError};
use isobench_vmm::probe::check_guest_kernel;
use isobench_workloads::guest_init::{Orders, Wire};

use crate::linux_files;
use crate::request::{Access, Disk, Network, Request};

/// Runs the program to its end.
pub fn run(mut request: Request) -> Result<u8, Failure> {
    let marks = Arc::new(std::mem::take(&mut request.marks));
    let marks_for_counts = request.counts_exits.then(|| marks.clone());
    let on_phase = move |phase: Phase| marks.mark(phase.name());
    on_phase(Phase::Start);
    let tap = match request.network {
        Network::None | Network::Loopback => None,
        Network::Tap => {
            let tap = Tap::open(PacketHeader::Virtio).map_err(Failure::of_launcher)?;
            on_phase(Phase::Network);
            Some(tap)
        }
    };
    let config = prepare(&request, tap).map_err(Failure::bad_request)?;
    let exits = config.exits.clone();
    let config = config.check().map_err(Failure::bad_request)?;
    let hypervisor = Hypervisor::open().map_err(Failure::of_launcher)?;
    check_guest_kernel(&hypervisor).map_err(Failure::of_launcher)?;
    on_phase(Phase::OpenKvm);
    let machine =
        Machine::boot(&hypervisor, config, Box::new(on_phase)).map_err(|error| match error {
            BootError::Config(error) => Failure::bad_request(error),
            error => Failure::of_launcher(error),
        })?;
    let is_over = AtomicBool::new(false);
    let on_end: OnEnd = Arc::new(move |result| {
        // Several threads may see the end. The first of them ends the process.
        if !is_over.swap(true, Ordering::SeqCst) {
            if let Some(marks) = &marks_for_counts {
                super::write_exit_counts(marks, &exits);
            }
            end_process(result);
        }
    });
    machine.run(&on_end).map_err(Failure::of_launcher)?;
    // Another thread is about to end the process.
    loop {
        std::thread::park();
    }
}

fn end_process(result: Result<Ending, RunError>) {
    let code = match result {
        Ok(ending) => {
            if !ending.is_orderly() {
                tell(format_args!("isobench-vmm: {ending}"));
            }
            ending.code()
        }
        Err(error) => Failure::of_launcher(error).print("isobench-vmm"),
    };
    // SAFETY: _exit(2) ends the process, and no output is buffered. The kernel takes the VM down
    // with the process, which is faster than dropping it piece by piece.
    unsafe { libc::_exit(code.into()) }
}

/// Opens the files and devices that the guest gets.
fn prepare(request: &Request, tap: Option<Tap>) -> Result<Config, Box<dyn Error>> {
    let kernel = request
        .kernel
        .as_deref()
        .ok_or("no kernel is given: add --kernel FILE")?;
    let duplicate = |stream: &dyn std::os::fd::AsFd| stream.as_fd().try_clone_to_owned();
    let input = linux_files::input()?;
    let orders = Orders {
        ports: OUTPUT_PORT,
        wire: Wire::Pieces,
        input: input.is_some(),
        network: linux_files::network(request, tap.as_ref()),
        ..Orders::default()
    };
    let files = linux_files::files(request, orders)?;
    let memory = if request.layers.is_empty() {
        request.memory()
    } else {
        memory::for_image(&files, request.memory)?
    };
    Ok(Config {
        memory,
        processors: request.processors,
        kernel: Kernel::open(kernel)?,
        files,
        append: request.append.clone(),
        disks: request.disks.iter().map(open).collect::<Result<_, _>>()?,
        network: tap.map(|tap| Net::new(tap.descriptor, tap.hardware_address)),
        kernel_messages: if request.show_console {
            KernelMessages::Shown
        } else {
            KernelMessages::Kept
        },
        input,
        output: duplicate(&io::stdout())?,
        error: duplicate(&io::stderr())?,
        limit: request.limit,
        exits: Arc::default(),
    })
}

fn open(disk: &Disk) -> Result<Block, DiskError> {
    let path = disk.path.clone();
    let cache = match disk.access {
        Access::Buffered | Access::ReadOnly => HostCache::Used,
        Access::Direct => HostCache::Bypassed,
    };
    let disk = match disk.access {
        Access::ReadOnly => HostDisk::open_read_only(&path)?,
        Access::Buffered | Access::Direct => HostDisk::open(&path)?,
    };
    if cache == HostCache::Bypassed && !disk.supports_direct() {
        return Err(DiskError::NoDirect { path });
    }
    Ok(Block::new(disk, cache))
}
