//! The program's network: TCP over IPv4, by a stack in the VMM's own process (the crate `smoltcp`).
//!
//! The stack's network card is a TAP device of the host's. No socket of the host's is ever opened:
//! the host sees packets of another machine. Packets to the program's own addresses never leave the
//! VMM.
//!
//! A program without sockets has no stack. So a network costs nothing until the first call of
//! `socket`.

mod address;
mod bytes;
mod card;
mod closing;
mod connecting;
mod connection;
mod introduction;
mod listening;
mod options;
mod ports;
mod socket;
mod stack;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;

use crate::devices::host_io::{self, Offloads};

pub(super) use address::{ADDRESS, address_bytes, read_address};
pub(super) use connecting::Connecting;
pub(super) use options::Value;
pub(super) use socket::{Ends, Sent, Taken};
pub(super) use stack::Stack;

/// The link of a guest to its host.
#[derive(Debug)]
pub struct NetworkLink {
    /// The other end of the host's TAP device. Each read or write moves one packet behind a header
    /// of virtio's (12 bytes), and neither blocks.
    pub tap: OwnedFd,
    /// The Ethernet address of the guest's card.
    pub hardware_address: [u8; 6],
    /// The guest's address.
    pub address: Ipv4Addr,
    /// The bits of an address that are the same for all that the link leads to.
    pub prefix: u8,
    /// The host's address.
    pub host: Ipv4Addr,
}

impl NetworkLink {
    /// Makes the host leave work on packets to the stack, which needn't do it either: no packet
    /// leaves the host.
    fn relieve_host(&self) {
        let offloads = Offloads {
            checksums: true,
            segments: true,
        };
        // Only a descriptor that is no TAP device refuses, and it leaves no work.
        let _ = host_io::set_offloads(self.tap.as_fd(), offloads);
    }
}

/// What a guest's network leads to.
#[derive(Debug, Default)]
pub enum Network {
    /// There is no network, and no socket can be made.
    #[default]
    None,
    /// The guest itself.
    Loopback,
    /// The guest itself and its host.
    Link(NetworkLink),
}

/// The program's network.
#[derive(Default)]
pub(super) struct Net {
    /// The network of which the stack will be made.
    network: Network,
    stack: Option<Box<Stack>>,
    /// The number of times that the program's calls may have changed the stack.
    uses: u64,
}

impl fmt::Debug for Net {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Net").finish_non_exhaustive()
    }
}

impl Net {
    /// The network of a program that has not started yet.
    pub fn new(network: Network) -> Self {
        if let Network::Link(link) = &network {
            link.relieve_host();
        }
        Self {
            network,
            stack: None,
            uses: 0,
        }
    }

    /// The stack, which is made now if there is none yet.
    ///
    /// # Errors
    /// `EAFNOSUPPORT`: the guest has no network.
    pub fn start(&mut self) -> Result<&mut Stack, Errno> {
        if self.stack.is_none() {
            let link = match std::mem::take(&mut self.network) {
                Network::None => return Err(Errno::EAFNOSUPPORT),
                Network::Loopback => None,
                Network::Link(link) => Some(link),
            };
            self.stack = Some(Box::new(Stack::new(link)));
        }
        self.stack.as_deref_mut().ok_or(Errno::EAFNOSUPPORT)
    }

    /// The stack, if there is one.
    pub fn up(&mut self) -> Option<&mut Stack> {
        self.uses += 1;
        self.stack.as_deref_mut()
    }

    /// The stack of a program that has a socket.
    ///
    /// # Errors
    /// `ENOTSOCK`: there is no stack, and so no socket.
    pub fn stack(&mut self) -> Result<&mut Stack, Errno> {
        self.up().ok_or(Errno::ENOTSOCK)
    }

    /// The number of times that something may have changed in the stack, and with it the time after
    /// which it has work.
    pub fn uses(&self) -> u64 {
        self.uses
    }

    /// The same, to look at.
    pub fn look(&self) -> Option<&Stack> {
        self.stack.as_deref()
    }

    /// Whether there are no sockets.
    pub fn is_empty(&self) -> bool {
        self.look().is_none_or(Stack::is_empty)
    }

    /// The descriptor at which packets arrive.
    pub fn tap(&self) -> Option<&Arc<OwnedFd>> {
        self.look()?.tap()
    }

    /// The time after which the stack has work without a packet. The result is `None` if there will
    /// be none.
    pub fn left(&mut self) -> Option<Duration> {
        self.stack.as_deref_mut()?.left()
    }

    /// Closes the sockets but those that `is_open` knows.
    pub fn retain(&mut self, is_open: impl Fn(usize) -> bool) {
        if let Some(stack) = self.up() {
            stack.retain(is_open);
        }
    }
}
