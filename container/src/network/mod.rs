//! The container's network: none, a loopback, a link to the host, or the host's own.
//!
//! A link is a pair of virtual Ethernet interfaces, one end on the host and one inside. There is no
//! bridge, no routing and no NAT, so the link leads to the host and nowhere else.
//!
//! The launcher makes the pair while the container's first process assembles its root, and keeps
//! nothing of the pair open: when the last process inside ends, for whatever reason, the kernel
//! removes both ends. A loopback takes no privilege: the first process, which is root of its
//! namespace for a moment, brings its loopback up by messages that the launcher sends.

mod choice;
mod connect;
mod link;
mod messages;
mod open_tap;
mod rtnetlink;
mod tap;

pub use choice::{Network, NetworkSyntaxError};
pub use connect::{NetworkError, connect};
pub use link::{HOST_ADDRESS, LINK_PREFIX};
pub use messages::MAX_MESSAGES;
pub use open_tap::OpenTap;
pub use rtnetlink::configure;
pub use tap::{Tap, TapError};
