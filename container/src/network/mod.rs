//! The container's network: none, a loopback, a link to the host, or the host's own.
//!
//! A link is a pair of virtual Ethernet interfaces, one end on the host and one inside. There is no bridge, no routing
//! and no NAT, so it leads to the host and nowhere else. The launcher makes all of it while the container's first process
//! assembles its root, and keeps nothing of it open: when the last process inside ends, in whatever way, the kernel
//! removes both ends. A loopback takes no privilege: the first process, for a moment yet root of its namespace, brings
//! it up itself, by messages that the launcher sends it.

mod link;
mod messages;
mod rtnetlink;
mod tap;

use std::net::Ipv4Addr;
use std::str::FromStr;

use nix::errno::Errno;
use nix::unistd::Pid;

use link::{INSIDE_INDEX, Link};
use rtnetlink::Rtnetlink;
pub use rtnetlink::configure;
pub use tap::{Tap, TapError};

/// Where a program in a container with [`Network::Veth`] finds the host. Of the range for benchmarks (RFC 2544).
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// Longest list of messages for a container's first process, in bytes.
pub const MAX_MESSAGES: usize = 64;

/// How many links a launcher tries before it gives up.
const TRIES: u16 = 256;

/// Which network a container has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Its own, with a loopback that is down: no network at all.
    #[default]
    None,
    /// Its own, with a loopback.
    Loopback,
    /// Its own, with a loopback and a link to the host, which it finds at [`HOST_ADDRESS`]. Takes `CAP_NET_ADMIN`.
    Veth,
    /// The host's.
    Host,
}

impl Network {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::None, Self::Loopback, Self::Veth, Self::Host];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Loopback => "loopback",
            Self::Veth => "veth",
            Self::Host => "host",
        }
    }

    /// Where a program finds the host; `None` if it can't reach it.
    pub const fn host_address(self) -> Option<Ipv4Addr> {
        match self {
            Self::None | Self::Loopback => None,
            Self::Veth => Some(HOST_ADDRESS),
            Self::Host => Some(Ipv4Addr::LOCALHOST),
        }
    }

    /// Whether the container's first process is sent messages for its network.
    pub const fn is_set_up(self) -> bool {
        matches!(self, Self::Loopback | Self::Veth)
    }
}

/// A text that is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none of none, loopback, veth and host")]
pub struct NetworkSyntaxError {
    text: String,
}

impl FromStr for Network {
    type Err = NetworkSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |network: &Self| network.name() == text;
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| NetworkSyntaxError {
                text: text.to_owned(),
            })
    }
}

/// The launcher's part of a network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No socket to the kernel.
    #[error("cannot open a netlink socket: {errno}")]
    Socket {
        /// Why.
        errno: Errno,
    },
    /// No pair.
    #[error("cannot make a veth pair: {errno}{}", advice(*errno))]
    Pair {
        /// Why.
        errno: Errno,
    },
    /// Too many other launchers want the same.
    #[error("cannot make a veth pair: {TRIES} links from {first} on are in use")]
    NoneFree {
        /// Name of the first one tried.
        first: String,
    },
    /// No socket to the kernel in the container's namespace.
    #[error("cannot open a netlink socket in the container's network namespace: {errno}")]
    Enter {
        /// Why.
        errno: Errno,
    },
    /// An end could not be set up.
    #[error("cannot set up the {end} end of the veth pair {name}: {errno}")]
    End {
        /// Which.
        end: &'static str,
        /// Name of the host's.
        name: String,
        /// Why.
        errno: Errno,
    },
}

fn advice(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "; it takes CAP_NET_ADMIN: run as root, or use --net loopback",
        Errno::EOPNOTSUPP => "; the kernel has no veth: modprobe veth",
        _ => "",
    }
}

/// Does the launcher's part for the namespace of the process `inside`, and gives the messages for that process.
pub fn connect(network: Network, inside: Pid) -> Result<Vec<u8>, NetworkError> {
    match network {
        Network::None | Network::Host => Ok(Vec::new()),
        Network::Loopback => Ok(messages::loopback()),
        Network::Veth => make_link(inside).map(|()| Vec::new()),
    }
}

/// Makes a link to the namespace of `inside` and brings both its ends up, the host's last.
fn make_link(inside: Pid) -> Result<(), NetworkError> {
    let here = Rtnetlink::open().map_err(|errno| NetworkError::Socket { errno })?;
    let link = make_pair(&here, inside)?;
    let there = Rtnetlink::open_inside(inside).map_err(|errno| NetworkError::Enter { errno })?;
    let failed = |end| {
        move |errno| NetworkError::End {
            end,
            name: link.name(),
            errno,
        }
    };
    there
        .request(&messages::inside_end(link))
        .map_err(failed("container's"))?;
    here.request(&messages::host_end(link))
        .map_err(failed("host's"))?;
    there
        .await_link(INSIDE_INDEX)
        .map_err(failed("container's"))
}

/// Makes the pair of the first free link, counted from this process's id.
fn make_pair(kernel: &Rtnetlink, inside: Pid) -> Result<Link, NetworkError> {
    let first = Link::of_process(Pid::this());
    for link in first.candidates(TRIES) {
        match kernel.request(&messages::pair(link, inside)) {
            Ok(()) => return Ok(link),
            // Another launcher's of the same number, or one whose container has just ended.
            Err(Errno::EEXIST | Errno::EBUSY) => {}
            Err(errno) => return Err(NetworkError::Pair { errno }),
        }
    }
    Err(NetworkError::NoneFree {
        first: first.name(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_network_is_read_by_its_name() {
        for network in Network::ALL {
            assert_eq!(network.name().parse(), Ok(network));
        }
        let error = "bridge".parse::<Network>().unwrap_err().to_string();
        assert_eq!(error, "\"bridge\" is none of none, loopback, veth and host");
    }
}
