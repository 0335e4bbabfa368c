//! `/init`: the first process of a guest with a Linux kernel.
//!
//! The kernel starts `/init` with no file systems, and often without a console. `/init` mounts what
//! programs expect, starts the one program that its [`Orders`] name, carries the program's streams
//! to the host and back, and hands over the program's exit code. `/init` is the workload's
//! own binary, so that a guest needs no other file. The program is executed all the same, as in
//! every other target.

pub mod frames;
mod host;
mod input;
mod line;
mod network;
mod orders;
mod ports;
mod relay;
mod root;
mod start;

pub use orders::{Network, ORDERS, Orders, PowerOff, SHARED, User, Wire};

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, IntoRawFd as _};
use std::process;

use nix::fcntl::{OFlag, open};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::stat::Mode;
use nix::unistd::getpid;

use host::Host;
use orders::OrdersError;

/// The path at which the kernel looks for the first process.
const PATH: &str = "/init";
/// The exit code of a guest whose program has none, because it never ran.
const FAILED: u8 = 125;

/// A guest cannot start its program.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The orders cannot be read.
    #[error("reading {ORDERS}")]
    NoOrders(#[source] io::Error),
    /// The orders are malformed.
    #[error("following {ORDERS}")]
    Orders(#[from] OrdersError),
    /// The kernel gives no access to ports.
    #[error("asking the kernel for access to ports (CONFIG_X86_IOPL_IOPERM)")]
    Ports(#[source] nix::Error),
    /// The line to the launcher, or its mailbox, cannot be opened.
    #[error("opening the line to the host")]
    Line(#[source] io::Error),
    /// A file system cannot be mounted.
    #[error("mounting {0}")]
    Mount(&'static str, #[source] nix::Error),
    /// A kernel module cannot be loaded.
    #[error("loading the kernel module {name}")]
    Module {
        /// The path of the module in the guest.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel refuses something that the program needs.
    #[error("{0}")]
    Setup(&'static str, #[source] nix::Error),
}

/// Whether this process is the first process of a guest.
pub fn is_called_for() -> bool {
    std::env::args_os().next().is_some_and(|name| name == PATH) && getpid().as_raw() == 1
}

/// Does the work of `/init`, and ends the machine.
pub fn run() -> ! {
    occupy_standard_streams();
    let code = match std::fs::read(ORDERS) {
        Ok(bytes) => follow(&bytes),
        Err(error) => Err((None, InitError::NoOrders(error))),
    };
    let (host, code) = match code {
        Ok((host, code)) => (Some(host), code),
        Err((host, error)) => {
            let line = crate::error_line("init", &error);
            match &host {
                Some(host) => host.error(line.as_bytes()),
                // Standard error is the kernel's console, if the kernel has one.
                None => drop(io::stderr().write_all(line.as_bytes())),
            }
            (host, FAILED)
        }
    };
    if let Some(host) = host {
        host.exit(code);
    }
    // The machine still runs, so it is one that does not end at once. Every machine ends at a reset.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    process::exit(code.into());
}

/// Opens descriptors 0 to 2, if the kernel has found no console for them. Otherwise a pipe could get
/// one of these numbers, and be lost when the program's streams are put in their places.
fn occupy_standard_streams() {
    while let Ok(descriptor) = open("/", OFlag::O_PATH, Mode::empty()) {
        if descriptor.as_raw_fd() > 2 {
            return;
        }
        // The descriptor stays open for good.
        let _ = descriptor.into_raw_fd();
    }
}

/// Follows the orders in `bytes`. Gives the program's exit code, or the reason why there is none,
/// with the way to the host if there is one.
fn follow(bytes: &[u8]) -> Result<(Host, u8), (Option<Host>, InitError)> {
    let orders = Orders::decode(bytes).map_err(|error| (None, error.into()))?;
    let host = Host::reach(&orders).map_err(|error| (None, error))?;
    host.mark();
    match carry_out(&orders, &host) {
        Ok(code) => Ok((host, code)),
        Err(error) => Err((Some(host), error)),
    }
}

/// Sets the guest up, runs the program, and gives the program's exit code.
fn carry_out(orders: &Orders, host: &Host) -> Result<u8, InitError> {
    for module in &orders.modules {
        start::load_module(module)?;
    }
    root::set_up(orders.root.as_deref(), orders.terminals)?;
    if orders.shares {
        root::mount_shared()?;
    }
    if orders.network != Network::None {
        network::set_up_loopback().map_err(|e| InitError::Setup("setting up the loopback", e))?;
    }
    if let Network::Card(address) = orders.network {
        network::set_up_card(orders.wire.network_card(), address)
            .map_err(|e| InitError::Setup("setting up the network", e))?;
    }
    let program = start::start(orders)?;
    relay::relay(program, host)
}
