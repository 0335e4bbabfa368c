//! What a guest with a Linux kernel gets, in a virtual machine or without one: its first file system,
//! its standard input, its network.

use std::error::Error;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::PathBuf;

use isobench::targets::guest::files::{GuestFiles, GuestImage};
use isobench_container::Tap;
use isobench_vmm::devices::program_input::has_input;
use isobench_vmm::linux::initramfs::Initramfs;
use isobench_workloads::guest_init::{self, Orders};

use crate::request::{Network, Request};

/// `/init`, the program, and the image, files and modules of the request. `orders` say how `/init`
/// reaches the launcher; the request's program is added.
pub fn files(request: &Request, orders: Orders) -> Result<Initramfs, Box<dyn Error>> {
    let init = workload()?;
    let files = GuestFiles {
        init: &init,
        program: &request.program,
        image: (!request.layers.is_empty()).then_some(GuestImage {
            layers: &request.layers,
            working_directory: &request.working_directory,
            user: &request.user,
        }),
        files: &request.files,
        modules: &request.modules,
    };
    let orders = Orders {
        terminals: request.terminals || !request.layers.is_empty(),
        arguments: request.arguments.clone(),
        environment: request.environment.clone(),
        ..orders
    };
    Ok(files.archive(orders)?)
}

/// The launcher's standard input, if it can ever give a byte.
pub fn input() -> io::Result<Option<OwnedFd>> {
    let stdin = io::stdin();
    match has_input(stdin.as_fd()) {
        Ok(true) => stdin.as_fd().try_clone_to_owned().map(Some),
        _ => Ok(None),
    }
}

/// What the guest reaches.
pub fn network(request: &Request, tap: Option<&Tap>) -> guest_init::Network {
    match tap {
        Some(tap) => guest_init::Network::Card(tap.address),
        None if request.network == Network::Loopback => guest_init::Network::Loopback,
        None => guest_init::Network::None,
    }
}

/// The path of the workload, which is also the guest's `/init`. It lies beside this program.
fn workload() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.with_file_name("isobench-workload"))
}
