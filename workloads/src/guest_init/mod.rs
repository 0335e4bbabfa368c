//! `/init`: the first process of a guest with a Linux kernel.
//!
//! The kernel starts `/init` with no file systems, and often without a console. `/init` mounts what
//! programs expect, starts the one program that its [`Orders`] name, carries the program's streams
//! to the VMM's ports and back, and hands over the program's exit code. `/init` is the workload's
//! own binary, so that a guest needs no other file. The program is executed all the same, as in
//! every other target.

mod network;
mod orders;
mod ports;
mod relay;
mod root;
mod start;

pub use orders::{ORDERS, Orders, PowerOff, User, Wire};

use std::io::{self, Write as _};
use std::process;

use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::getpid;

use orders::OrdersError;
use ports::Ports;

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
    let code = match std::fs::read(ORDERS) {
        Ok(bytes) => follow(&bytes),
        Err(error) => Err((None, InitError::NoOrders(error))),
    };
    let (ports, code) = match code {
        Ok((ports, code)) => (Some(ports), code),
        Err((ports, error)) => {
            let line = crate::error_line("init", &error);
            match &ports {
                Some(ports) => ports.error(line.as_bytes()),
                // Standard error is the kernel's console, if the kernel has one.
                None => drop(io::stderr().write_all(line.as_bytes())),
            }
            (ports, FAILED)
        }
    };
    if let Some(ports) = ports {
        ports.exit(code);
    }
    // The machine still runs, so it is one that does not end at the port. Every machine ends at a
    // reset.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    process::exit(code.into());
}

/// Follows the orders in `bytes`. Gives the program's exit code, or the reason why there is none,
/// with the ports if there are any.
fn follow(bytes: &[u8]) -> Result<(Ports, u8), (Option<Ports>, InitError)> {
    let orders = Orders::decode(bytes).map_err(|error| (None, error.into()))?;
    let ports = Ports::open(orders.ports, orders.wire, orders.power_off)
        .map_err(|error| (None, InitError::Ports(error)))?;
    ports.mark();
    match carry_out(&orders, &ports) {
        Ok(code) => Ok((ports, code)),
        Err(error) => Err((Some(ports), error)),
    }
}

/// Sets the guest up, runs the program, and gives the program's exit code.
fn carry_out(orders: &Orders, ports: &Ports) -> Result<u8, InitError> {
    for module in &orders.modules {
        start::load_module(module)?;
    }
    root::set_up(orders.root.as_deref(), orders.terminals)?;
    if let Some(address) = orders.address {
        network::set_up(address).map_err(|e| InitError::Setup("setting up the network", e))?;
    }
    let program = start::start(orders)?;
    relay::relay(program, ports)
}
