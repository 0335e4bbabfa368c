//! The TAP device of another process, as the host sees the device from outside.

use std::fs;
use std::io;
use std::net::Ipv4Addr;

use nix::unistd::Pid;

use super::link::Link;

/// A TAP device of isobench's that some process has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTap {
    link: Link,
}

impl OpenTap {
    /// The device that the process `pid` has open; `None` if it has none. The kernel names the
    /// device of a descriptor in `/proc/PID/fdinfo`, in the line `iff:` (drivers/net/tun.c).
    ///
    /// # Errors
    /// The process has ended, or this user may not look at it.
    pub fn of_process(pid: Pid) -> io::Result<Option<Self>> {
        for descriptor in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // The process may close a descriptor meanwhile.
            let Ok(facts) = fs::read_to_string(descriptor?.path()) else {
                continue;
            };
            let mut names = facts.lines().filter_map(|line| line.strip_prefix("iff:"));
            if let Some(link) = names.find_map(|name| Link::named(name.trim())) {
                return Ok(Some(Self { link }));
            }
        }
        Ok(None)
    }

    /// The machine's address.
    pub fn address(&self) -> Ipv4Addr {
        self.link.address()
    }

    /// Whether the machine has sent a packet. The device must be in the network namespace of this
    /// thread.
    ///
    /// # Errors
    /// The device has gone, or `/proc` isn't mounted.
    pub fn has_received(&self) -> io::Result<bool> {
        let name = self.link.name();
        let table = fs::read_to_string("/proc/thread-self/net/dev")?;
        received(&table, &name)
            .map(|packets| packets > 0)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no device {name}")))
    }
}

/// The number of packets that the device `name` has received, from the kernel's table of devices
/// (`proc_pid_net(5)`): the second number behind the name.
fn received(table: &str, name: &str) -> Option<u64> {
    let mut rows = table.lines().filter_map(|line| line.split_once(':'));
    let (_, numbers) = rows.find(|(device, _)| device.trim() == name)?;
    numbers.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, skip};
    use nix::unistd::write;

    use super::super::tap::{Tap, TapError};
    use super::*;
    use crate::sys::tap::PacketHeader;

    #[test]
    fn packets_are_read_from_the_table_of_devices() {
        let table = "Inter-|   Receive  |  Transmit\n face |bytes packets|bytes packets\n\
                     lo: 100 2 0 0 0 0 0 0 100 2 0 0 0 0 0 0\n\
                     isobench-0001:4294967296 3 0 0 0 0 0 0 0 9 0 0 0 0 0 0\n";
        assert_eq!(received(table, "isobench-0001"), Some(3));
        assert_eq!(received(table, "isobench-000"), None);
        assert_eq!(received("", "lo"), None);
    }

    #[test]
    fn a_process_s_device_is_found_and_its_first_packet_is_seen() {
        let own = Pid::this();
        let tap = match Tap::open(PacketHeader::Virtio) {
            Ok(tap) => tap,
            Err(error @ TapError::Open { .. }) => {
                skip(Need::TunDevice, error);
                return;
            }
            Err(error) => panic!("{error}"),
        };
        // Other tests of this process may have a device of their own as well.
        let found = OpenTap::of_process(own).unwrap().unwrap();
        assert!(found.address().octets().starts_with(&[198, 19]));
        let [.., high, low] = tap.address.octets();
        let name = format!("isobench-{high:02x}{low:02x}");
        let link = Link::named(&name).unwrap();
        let device = OpenTap { link };
        assert!(!device.has_received().unwrap());
        // A header of virtio's, and an empty packet for everybody.
        let mut packet = [0; 12 + 60];
        packet[12..18].fill(0xff);
        assert_eq!(write(&tap.descriptor, &packet), Ok(packet.len()));
        assert!(device.has_received().unwrap());
        drop(tap);
        assert!(OpenTap::of_process(Pid::from_raw(i32::MAX)).is_err());
    }
}
