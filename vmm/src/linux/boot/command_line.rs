//! The kernel's command line: it describes this machine to a kernel that can't ask a firmware.
//!
//! Without one of these words a start may be slower, or may not end well: docs/guest.md gives the
//! reasons. The user's own words come last, since the last word of a kind counts.

use crate::linux::layout::{self, VIRTIO, VIRTIO_INTERRUPT, VIRTIO_SIZE};

/// The words of every start.
const ALWAYS: [&str; 8] = [
    // A panic ends at once in a reset through the keyboard controller, which the VMM sees.
    "panic=-1",
    "reboot=k",
    // The kernel gives the reason for a panic on this console. The level keeps lesser messages away,
    // errors too, since each byte is two VM exits.
    "console=ttyS0",
    "loglevel=3",
    "8250.nr_uarts=1",
    // The machine has neither, and a kernel with drivers for them need not search.
    "pci=off",
    "acpi=off",
    // KVM makes the timer's interrupt, which needs no test.
    "no_timer_check",
];

/// The words of a machine without virtio devices. The serial port's interrupt comes by the old
/// controllers then, so that a kernel need not set up the 24 inputs of the IOAPIC, at 25 VM exits each.
/// With devices the IOAPIC is worth it: the old controllers take several exits an interrupt.
const WITHOUT_DEVICES: &str = "noapic";

/// The command line is longer than a kernel reads.
#[derive(Debug, thiserror::Error)]
#[error("the kernel's command line has {length} bytes, more than {most}: shorten --append")]
pub struct TooLong {
    length: usize,
    most: usize,
}

/// The command line for a machine with `devices` virtio devices, with the user's `appended` words
/// at its end.
///
/// # Errors
/// The line is longer than a kernel reads.
pub fn command_line(devices: usize, appended: &str) -> Result<Vec<u8>, TooLong> {
    let mut words: Vec<String> = ALWAYS.map(str::to_owned).to_vec();
    if devices == 0 {
        words.push(WITHOUT_DEVICES.to_owned());
    }
    for (index, interrupt) in (0..devices as u64).zip(VIRTIO_INTERRUPT..) {
        let address = VIRTIO + index * VIRTIO_SIZE;
        words.push(format!(
            "virtio_mmio.device={VIRTIO_SIZE}@{address:#x}:{interrupt}"
        ));
    }
    if !appended.is_empty() {
        words.push(appended.to_owned());
    }
    let mut line = words.join(" ").into_bytes();
    line.push(0);
    if line.len() > layout::COMMAND_LINE_SIZE {
        return Err(TooLong {
            length: line.len(),
            most: layout::COMMAND_LINE_SIZE,
        });
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_is_announced_and_the_user_has_the_last_word() {
        let line = String::from_utf8(command_line(2, "panic=5").unwrap()).unwrap();
        assert!(line.contains(
            " virtio_mmio.device=4096@0xd0000000:5 virtio_mmio.device=4096@0xd0001000:6 "
        ));
        assert!(line.ends_with(" panic=5\0"));
        assert!(!line.contains(WITHOUT_DEVICES));
    }

    #[test]
    fn without_devices_the_ioapic_is_left_alone() {
        let line = String::from_utf8(command_line(0, "").unwrap()).unwrap();
        assert!(line.contains(" noapic"));
    }

    #[test]
    fn a_line_that_no_kernel_reads_is_refused() {
        let room = layout::COMMAND_LINE_SIZE - command_line(0, "").unwrap().len() - 1;
        command_line(0, &"x".repeat(room)).unwrap();
        let error = command_line(0, &"x".repeat(room + 1)).unwrap_err();
        assert!(error.to_string().contains("2049 bytes"), "{error}");
    }
}
