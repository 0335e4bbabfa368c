//! The launcher's part of a container's network.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::choice::Network;
use super::link::{INSIDE_INDEX, Link, TRIES};
use super::messages;
use super::rtnetlink::Rtnetlink;

/// The launcher's part of a network could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel gives no netlink socket.
    #[error("cannot open a netlink socket: {errno}")]
    Socket {
        /// The kernel's reason.
        errno: Errno,
    },
    /// The kernel makes no pair of interfaces.
    #[error("cannot make a veth pair: {errno}{}", advice(*errno))]
    Pair {
        /// The kernel's reason.
        errno: Errno,
    },
    /// Other launchers have all the links that were tried.
    #[error("cannot make a veth pair: {TRIES} links from {first} on are in use")]
    NoneFree {
        /// The name of the first link that was tried.
        first: String,
    },
    /// The kernel gives no netlink socket in the container's namespace.
    #[error("cannot open a netlink socket in the container's network namespace: {errno}")]
    Enter {
        /// The kernel's reason.
        errno: Errno,
    },
    /// One end of the pair could not be set up.
    #[error("cannot set up the {end} end of the veth pair {name}: {errno}")]
    End {
        /// Whose end it is.
        end: &'static str,
        /// The name of the host's end.
        name: String,
        /// The kernel's reason.
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

/// Does the launcher's part for the network namespace of the process `inside`, and gives the
/// messages that this process has to pass on to the kernel.
pub fn connect(network: Network, inside: Pid) -> Result<Vec<u8>, NetworkError> {
    match network {
        Network::None | Network::Host => Ok(Vec::new()),
        Network::Loopback => Ok(messages::loopback()),
        Network::Veth => make_link(inside).map(|()| Vec::new()),
    }
}

/// Makes a link to the namespace of `inside` and brings both ends up, the host's end last.
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
            // Another launcher has a link of this number, or its container has just ended.
            Err(Errno::EEXIST | Errno::EBUSY) => {}
            Err(errno) => return Err(NetworkError::Pair { errno }),
        }
    }
    Err(NetworkError::NoneFree {
        first: first.name(),
    })
}
