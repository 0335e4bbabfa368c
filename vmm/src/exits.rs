//! How often a guest came out, by reason: what a VMM handles is what a guest can reach of it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Why a vCPU came out of its guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// It wrote to a port. Without a guest OS, each system call is one.
    PortWrite,
    /// It read from a port.
    PortRead,
    /// It wrote to an address that isn't memory: a device's register.
    AddressWrite,
    /// It read from one.
    AddressRead,
    /// Something wanted the host's processor: a signal, say.
    Interrupted,
    /// Anything else, which ends it.
    Other,
}

impl ExitReason {
    /// All, in the order of [`ExitCounts`].
    pub const ALL: [Self; 6] = [
        Self::PortWrite,
        Self::PortRead,
        Self::AddressWrite,
        Self::AddressRead,
        Self::Interrupted,
        Self::Other,
    ];

    /// Its name in marks and results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::PortWrite => "port-write",
            Self::PortRead => "port-read",
            Self::AddressWrite => "address-write",
            Self::AddressRead => "address-read",
            Self::Interrupted => "interrupted",
            Self::Other => "other",
        }
    }

    /// What it is, in a few words.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::PortWrite => {
                "the guest wrote to a port: without a guest OS each system call does, with one the serial port"
            }
            Self::PortRead => "the guest read from a port",
            Self::AddressWrite => "the guest wrote to a device's register in memory",
            Self::AddressRead => "the guest read from a device's register in memory",
            Self::Interrupted => "the host interrupted the guest",
            Self::Other => "any other exit, which ends the guest",
        }
    }
}

/// Exits by reason; the vCPUs' threads share them.
#[derive(Debug, Default)]
pub struct ExitCounts([AtomicU64; ExitReason::ALL.len()]);

impl ExitCounts {
    /// Counts one.
    pub fn add(&self, reason: ExitReason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How often each came.
    pub fn each(&self) -> impl Iterator<Item = (ExitReason, u64)> + '_ {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        ExitReason::ALL.into_iter().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_are_counted_by_reason() {
        let counts = ExitCounts::default();
        for reason in [ExitReason::Other, ExitReason::PortRead, ExitReason::Other] {
            counts.add(reason);
        }
        let each: Vec<u64> = counts.each().map(|(_, count)| count).collect();
        assert_eq!(each, [0, 1, 0, 0, 0, 2]);
        for (place, reason) in ExitReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
    }
}
