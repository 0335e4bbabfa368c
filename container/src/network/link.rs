//! Links by number: one number decides the name, the addresses and the indices of a veth pair.
//!
//! So the kernel settles which launcher has which link. If two launchers want the same number, the
//! kernel tells the second that the name exists, and the second takes the next number. No address
//! is ever given out twice.

use std::net::Ipv4Addr;

use nix::unistd::Pid;

/// The address at which a program in a container with [`Network::Veth`](crate::Network::Veth) finds
/// the host. The address is of the range for benchmarks (RFC 2544).
pub const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The bits of an address that are the same for the host and all links: those of the range for
/// benchmarks.
pub const LINK_PREFIX: u8 = 15;

/// The beginning of the names of all links.
const NAME_PREFIX: &str = "isobench-";

/// How many links a launcher tries before it gives up.
pub const TRIES: u16 = 256;

/// The name of the container's end.
pub const INSIDE_NAME: &str = "eth0";
/// The interface index of the container's end. The index must differ from that of the host's end:
/// by the difference the kernel knows an interface whose link comes up as part of another
/// interface, and lets it send at once instead of within a second.
pub const INSIDE_INDEX: u32 = 1000;
/// The interface index of the host's end of link 0, far above the indices that the kernel gives out
/// by itself.
const HOST_INDEX: u32 = 0x1000_0000;

/// One of 65536 links between the host and a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    number: u16,
}

impl Link {
    /// The link that the process `launcher` tries first.
    pub fn of_process(launcher: Pid) -> Self {
        let [low, high, ..] = launcher.as_raw().to_le_bytes();
        Self {
            number: u16::from_le_bytes([low, high]),
        }
    }

    /// This link and those after it.
    pub fn candidates(self, count: u16) -> impl Iterator<Item = Self> {
        (0..count).map(move |step| Self {
            number: self.number.wrapping_add(step),
        })
    }

    /// The name of the host's end, such as `isobench-1a2b`.
    pub fn name(self) -> String {
        format!("{NAME_PREFIX}{:04x}", self.number)
    }

    /// The link with the name `name`, if it is the name of a link.
    pub fn named(name: &str) -> Option<Self> {
        let number = u16::from_str_radix(name.strip_prefix(NAME_PREFIX)?, 16).ok()?;
        Some(Self { number }).filter(|link| link.name() == name)
    }

    /// The address of the container's end. Its last two bytes are those of the number.
    pub fn address(self) -> Ipv4Addr {
        let [high, low] = self.number.to_be_bytes();
        Ipv4Addr::new(198, 19, high, low)
    }

    /// The interface index of the host's end.
    pub fn index(self) -> u32 {
        HOST_INDEX + u32::from(self.number)
    }

    /// The Ethernet address of the host's end. With a fixed address nobody has to invent one, and
    /// udev, which replaces random addresses, leaves it alone.
    pub fn host_hardware_address(self) -> [u8; 6] {
        self.hardware_address(1)
    }

    /// The Ethernet address of the container's end.
    pub fn inside_hardware_address(self) -> [u8; 6] {
        self.hardware_address(2)
    }

    fn hardware_address(self, end: u8) -> [u8; 6] {
        /// The bit that marks an address which no vendor gave out (IEEE 802).
        const LOCALLY_ADMINISTERED: u8 = 0x02;
        let [high, low] = self.number.to_be_bytes();
        [LOCALLY_ADMINISTERED, b'i', b's', end, high, low]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The longest name of an interface, in bytes (`IFNAMSIZ`, without the zero byte).
    const MAX_NAME: usize = 15;

    #[test]
    fn name_address_and_index_hold_the_number() {
        let link = Link::of_process(Pid::from_raw(0x3_1a2b));
        assert_eq!(link.name(), "isobench-1a2b");
        assert_eq!(link.address(), Ipv4Addr::new(198, 19, 0x1a, 0x2b));
        assert_eq!(link.index(), 0x1000_1a2b);
        assert_eq!(Link::named("isobench-1a2b"), Some(link));
        for other in ["isobench-1A2B", "isobench-1a2", "isobench-+1a2", "eth0"] {
            assert_eq!(Link::named(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn two_links_share_nothing(number: u16, other: u16) {
            let (link, other) = (Link { number }, Link { number: other });
            prop_assert!(link.name().len() <= MAX_NAME);
            prop_assert_ne!(link.address(), HOST_ADDRESS);
            prop_assert_ne!(link.index(), INSIDE_INDEX);
            prop_assert_ne!(link.host_hardware_address(), link.inside_hardware_address());
            if link != other {
                prop_assert_ne!(link.name(), other.name());
                prop_assert_ne!(link.address(), other.address());
                prop_assert_ne!(link.index(), other.index());
                prop_assert_ne!(link.host_hardware_address(), other.host_hardware_address());
            }
        }

        #[test]
        fn candidates_are_all_different(number: u16, count in 1_u16..300) {
            let candidates: Vec<Link> = Link { number }.candidates(count).collect();
            prop_assert_eq!(candidates[0].number, number);
            let numbers = candidates.iter().map(|link| link.number);
            let distinct: std::collections::HashSet<u16> = numbers.collect();
            prop_assert_eq!(distinct.len(), usize::from(count));
        }
    }
}
