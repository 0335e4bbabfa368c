//! The guest without a virtual machine: user-mode Linux.

use std::error::Error;
use std::io;
use std::os::fd::AsFd;

use isobench::launchers::Failure;
use isobench::streams::tell;
use isobench::targets::guest::memory;
use isobench_container::{PacketHeader, Tap};
use isobench_uml::{BootError, Config, Disk, Guest, NetworkCard, Phase};
use isobench_workloads::guest_init::{Orders, Wire};

use crate::linux_files;
use crate::request::{Access, Network, Request};

/// Runs the program to its end.
pub fn run(mut request: Request) -> Result<u8, Failure> {
    let marks = std::mem::take(&mut request.marks);
    let on_phase = |phase: Phase| marks.mark(phase.name());
    on_phase(Phase::Start);
    let tap = match request.network {
        Network::None | Network::Loopback => None,
        Network::Tap => {
            let tap = Tap::open(PacketHeader::None).map_err(Failure::of_launcher)?;
            on_phase(Phase::Network);
            Some(tap)
        }
    };
    let config = prepare(&request, tap).map_err(Failure::bad_request)?;
    let guest = Guest::boot(config).map_err(|error| match error {
        BootError::Config(error) => Failure::bad_request(error),
        error @ BootError::Spawn(_) => Failure::of_launcher(error),
    })?;
    on_phase(Phase::Load);
    let ending = guest.run(&on_phase).map_err(Failure::of_launcher)?;
    if !ending.is_orderly() {
        tell(format_args!("isobench-vmm: {ending}"));
    }
    Ok(ending.code())
}

/// Opens the files and devices that the guest gets.
fn prepare(request: &Request, tap: Option<Tap>) -> Result<Config, Box<dyn Error>> {
    let kernel = request
        .kernel
        .clone()
        .ok_or("no kernel is given: add --kernel FILE")?;
    let duplicate = |stream: &dyn AsFd| stream.as_fd().try_clone_to_owned();
    let input = linux_files::input()?;
    let orders = Orders {
        wire: Wire::Line,
        input: input.is_some(),
        network: linux_files::network(request, tap.as_ref()),
        shares: request.shared.is_some(),
        ..Orders::default()
    };
    let files = linux_files::files(request, orders)?;
    let memory = if request.layers.is_empty() {
        request.memory()
    } else {
        memory::for_image(&files, request.memory)?
    };
    let disks = request.disks.iter().map(|disk| Disk {
        path: disk.path.clone(),
        read_only: disk.access == Access::ReadOnly,
    });
    Ok(Config {
        kernel,
        memory,
        files,
        disks: disks.collect(),
        shared: request.shared.clone(),
        network: tap.map(|tap| NetworkCard {
            descriptor: tap.descriptor,
            hardware_address: tap.hardware_address,
        }),
        input,
        output: duplicate(&io::stdout())?,
        error: duplicate(&io::stderr())?,
    })
}
