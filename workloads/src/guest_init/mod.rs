//! `/init`: the first process of a guest with a Linux kernel.
//!
//! The kernel starts it with nothing: no file systems, often no console. It mounts what programs expect, starts the one
//! program that it has [`orders`] for, carries the program's streams to the VMM's ports and back, and hands over its exit
//! code. It is the workload's own binary, so that a guest needs no file beside it, but the program is always exec'd, as
//! in every other target.

mod network;
mod orders;
mod ports;
mod relay;
mod root;
mod start;

pub use orders::{ORDERS, Orders, PowerOff, User, Wire};

use std::io;
use std::process;

use nix::sys::reboot::{RebootMode, reboot};
use nix::unistd::getpid;

use orders::OrdersError;
use ports::Ports;

/// Where the kernel looks for it.
const PATH: &str = "/init";
/// The exit code when there is none of the program's.
const FAILED: u8 = 125;

/// A guest can't start its program.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No orders, or unreadable ones.
    #[error("reading {ORDERS}")]
    NoOrders(#[source] io::Error),
    /// They can't be followed.
    #[error("following {ORDERS}")]
    Orders(#[from] OrdersError),
    /// No access to ports.
    #[error("asking the kernel for access to ports (CONFIG_X86_IOPL_IOPERM)")]
    Ports(#[source] nix::Error),
    /// A file system can't be mounted.
    #[error("mounting {0}")]
    Mount(&'static str, #[source] nix::Error),
    /// A kernel module can't be loaded.
    #[error("loading the kernel module {name}")]
    Module {
        /// Its path in the guest.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// Something the program needs can't be had.
    #[error("{0}")]
    Setup(&'static str, #[source] nix::Error),
}

/// Whether this process is a guest's first.
pub fn is_called_for() -> bool {
    std::env::args_os().next().is_some_and(|name| name == PATH) && getpid().as_raw() == 1
}

/// Does all of it. There is nowhere to return to: the machine ends.
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
                // The kernel's console, if it has one.
                None => eprint!("{line}"),
            }
            (ports, FAILED)
        }
    };
    if let Some(ports) = ports {
        ports.exit(code);
    }
    // Nobody listened to the port: the machine is another one, and a reset is what they all understand.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    process::exit(code.into());
}

/// Gives the program's exit code, with the ports to tell it by, or why there is none.
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

fn carry_out(orders: &Orders, ports: &Ports) -> Result<u8, InitError> {
    for module in &orders.modules {
        start::load_module(module)?;
    }
    root::set_up(orders.root.as_deref())?;
    if let Some(address) = orders.address {
        network::set_up(address).map_err(|e| InitError::Setup("setting up the network", e))?;
    }
    let program = start::start(orders)?;
    relay::relay(program, orders.input, ports)
}
