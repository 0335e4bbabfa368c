//! A link between the host and a virtual machine: a TAP device of the host's, whose other end is
//! the machine's network card.
//!
//! The device has a number and addresses as a container's link has, so that the two never collide.
//! The device goes away with the last descriptor of it, however the machine's process ends.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::link::{Link, TRIES};
use super::messages;
use super::rtnetlink::Rtnetlink;
use crate::sys::tap::{self, DEVICE, PacketHeader};

/// A TAP device could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The kernel makes no device.
    #[error("cannot make a TAP device: {errno}{}", advice(*errno))]
    Open {
        /// The kernel's reason.
        errno: Errno,
    },
    /// Other processes have all the links that were tried.
    #[error("cannot make a TAP device: {TRIES} links from {first} on are in use")]
    NoneFree {
        /// The name of the first link that was tried.
        first: String,
    },
    /// The device could not be set up.
    #[error("cannot set up the TAP device {name}: {errno}")]
    SetUp {
        /// The name of the device.
        name: String,
        /// The kernel's reason.
        errno: Errno,
    },
}

fn advice(errno: Errno) -> String {
    match errno {
        Errno::EPERM => "; it takes CAP_NET_ADMIN: run as root".to_owned(),
        Errno::EACCES => format!("; {DEVICE} is not yours to open: run as root"),
        Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => {
            format!("; {DEVICE} leads to no driver: modprobe tun")
        }
        _ => String::new(),
    }
}

/// A TAP device that is up.
#[derive(Debug)]
pub struct Tap {
    /// The device's other end. Each read or write moves one packet, with its header; neither blocks.
    pub descriptor: OwnedFd,
    /// The machine's address. The machine finds the host at [`HOST_ADDRESS`](super::HOST_ADDRESS).
    pub address: Ipv4Addr,
    /// The Ethernet address of the machine's network card.
    pub hardware_address: [u8; 6],
}

impl Tap {
    /// Makes the device of the first free link, counted from this process's id.
    ///
    /// # Errors
    /// The kernel makes no device, all links that were tried are in use, or the device cannot be
    /// set up.
    pub fn open(header: PacketHeader) -> Result<Self, TapError> {
        let first = Link::of_process(Pid::this());
        for link in first.candidates(TRIES) {
            match tap::open(&link.name(), link.index(), header) {
                Ok(descriptor) => return Self::set_up(link, descriptor),
                Err(Errno::EEXIST | Errno::EBUSY) => {}
                Err(errno) => return Err(TapError::Open { errno }),
            }
        }
        Err(TapError::NoneFree {
            first: first.name(),
        })
    }

    fn set_up(link: Link, descriptor: OwnedFd) -> Result<Self, TapError> {
        Rtnetlink::open()
            .and_then(|kernel| kernel.request(&messages::tap_end(link)))
            .map_err(|errno| TapError::SetUp {
                name: link.name(),
                errno,
            })?;
        Ok(Self {
            descriptor,
            address: link.address(),
            hardware_address: link.inside_hardware_address(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd as _;
    use std::path::Path;
    use std::thread;
    use std::time::{Duration, Instant};

    use isobench_testing::{Need, skip};
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::unistd::{read, write};

    use super::super::HOST_ADDRESS;
    use super::*;

    /// Bytes before each packet.
    const HEADER: usize = 12;

    /// A device; `None` on a host that makes none.
    fn open() -> Option<Tap> {
        match Tap::open(PacketHeader::Virtio) {
            Ok(tap) => Some(tap),
            Err(error @ TapError::Open { .. }) => {
                skip(Need::TunDevice, error);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// The next ARP packet from the host, without the header of virtio's.
    fn next_arp(tap: &Tap) -> Vec<u8> {
        let mut packet = [0; 2048];
        loop {
            let mut awaited = [PollFd::new(tap.descriptor.as_fd(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut awaited, PollTimeout::from(5000_u16)), Ok(1));
            let length = read(&tap.descriptor, &mut packet).unwrap();
            let ethernet = &packet[HEADER..length];
            if ethernet[12..14] == [8, 6] {
                return ethernet.to_vec();
            }
        }
    }

    /// The directory in /sys of the device.
    fn place(tap: &Tap) -> String {
        let [.., high, low] = tap.address.octets();
        format!("/sys/class/net/isobench-{high:02x}{low:02x}")
    }

    #[test]
    fn a_packet_for_the_machine_comes_out_of_the_device() {
        let Some(tap) = open() else { return };
        let socket = UdpSocket::bind((HOST_ADDRESS, 0)).unwrap();
        socket.send_to(b"hello", (tap.address, 9)).unwrap();
        // First the host asks who has the address.
        let question = next_arp(&tap);
        assert_eq!(question[20..22], [0, 1]);
        assert_eq!(question[38..42], tap.address.octets());
    }

    #[test]
    fn the_host_answers_the_machine() {
        let Some(tap) = open() else { return };
        let mut question = vec![0; HEADER];
        question.extend([0xff; 6]);
        question.extend(tap.hardware_address);
        // ARP for Ethernet and IPv4, a question.
        question.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        question.extend(tap.hardware_address);
        question.extend(tap.address.octets());
        question.extend([0; 6]);
        question.extend(HOST_ADDRESS.octets());
        assert_eq!(write(&tap.descriptor, &question), Ok(question.len()));
        let answer = next_arp(&tap);
        assert_eq!(answer[20..22], [0, 2]);
        assert_eq!(answer[28..32], HOST_ADDRESS.octets());
        assert_eq!(answer[..6], tap.hardware_address);
    }

    #[test]
    fn two_devices_differ_and_go_with_their_descriptors() {
        let (Some(first), Some(second)) = (open(), open()) else {
            return;
        };
        assert_ne!(first.address, second.address);
        assert_ne!(first.hardware_address, second.hardware_address);
        for tap in [first, second] {
            let place = place(&tap);
            assert!(Path::new(&place).exists(), "{place}");
            drop(tap);
            // A process that another test has just started may still have a copy of the descriptor.
            let deadline = Instant::now() + Duration::from_secs(5);
            while Path::new(&place).exists() {
                assert!(Instant::now() < deadline, "{place}");
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
