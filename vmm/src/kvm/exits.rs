#![expect(unsafe_code, reason = "reads the fields of KVM's union of exits")]
//! Why a guest came out, and how often: what a VMM handles is what a guest can reach of the VMM.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use kvm_bindings::{KVM_EXIT_INTERNAL_ERROR, KVM_INTERNAL_ERROR_EMULATION, kvm_run};

/// Why the guest came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmExit {
    /// The guest wrote to this port.
    PortWrite(u16),
    /// The guest read from this port.
    PortRead(u16),
    /// The guest ran `hlt`.
    Halt,
    /// The guest accessed this physical address, which isn't RAM.
    Mmio(u64),
    /// The processor could not even raise a double fault.
    Shutdown,
    /// KVM's interpreter does not know the instruction.
    EmulationFailure {
        /// The instruction's bytes, as far as KVM reports them.
        bytes: Vec<u8>,
    },
    /// The processor refused the guest's state.
    EntryFailure {
        /// The processor's reason.
        reason: u64,
    },
    /// A signal to the VMM interrupted the guest, which would go on.
    Interrupted,
    /// Any other exit. No guest of this VMM can cause such an exit.
    Unexpected(String),
}

impl VmExit {
    /// The reason under which the exit is counted.
    pub const fn reason(&self) -> ExitReason {
        match self {
            Self::PortWrite(_) => ExitReason::PortWrite,
            Self::PortRead(_) => ExitReason::PortRead,
            Self::Interrupted => ExitReason::Interrupted,
            _ => ExitReason::Other,
        }
    }
}

impl fmt::Display for VmExit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PortWrite(port) => write!(formatter, "write to port {port:#x}"),
            Self::PortRead(port) => write!(formatter, "read from port {port:#x}"),
            Self::Halt => write!(formatter, "hlt in ring 0"),
            Self::Mmio(address) => write!(
                formatter,
                "access to physical address {address:#x}, which is not RAM"
            ),
            Self::Shutdown => write!(formatter, "triple fault"),
            Self::EmulationFailure { bytes } => {
                write!(
                    formatter,
                    "KVM cannot interpret the instruction {bytes:02x?}"
                )
            }
            Self::EntryFailure { reason } => write!(
                formatter,
                "the processor refused the guest's state: {reason:#x}"
            ),
            Self::Interrupted => formatter.write_str("a signal to the VMM"),
            Self::Unexpected(what) => formatter.write_str(what),
        }
    }
}

/// Reads the details of `KVM_EXIT_INTERNAL_ERROR` (Linux, Documentation/virt/kvm/api.rst, 5).
pub(crate) fn internal_error(run: &kvm_run) -> VmExit {
    debug_assert_eq!(run.exit_reason, KVM_EXIT_INTERNAL_ERROR);
    // SAFETY: for this exit reason the union holds `internal`, of which `emulation_failure` is a
    // refinement. Both are plain integers, of which every bit pattern is valid.
    let failure = unsafe { run.__bindgen_anon_1.emulation_failure };
    if failure.suberror != KVM_INTERNAL_ERROR_EMULATION {
        return VmExit::Unexpected(format!("KVM internal error {}", failure.suberror));
    }
    let mut bytes = Vec::new();
    if failure.ndata >= 1 && failure.flags & 1 != 0 {
        // SAFETY: bit 0 of `flags` (KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) says that
        // the kernel has filled these fields in.
        let reported = unsafe { failure.__bindgen_anon_1.__bindgen_anon_1 };
        let length = usize::from(reported.insn_size).min(reported.insn_bytes.len());
        bytes.extend_from_slice(&reported.insn_bytes[..length]);
    }
    VmExit::EmulationFailure { bytes }
}

/// The reason under which an exit is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// The guest wrote to a port. Without a guest OS, each system call is such a write.
    PortWrite,
    /// The guest read from a port.
    PortRead,
    /// The guest wrote to an address that isn't memory: a device's register.
    AddressWrite,
    /// The guest read from an address that isn't memory.
    AddressRead,
    /// The host needed the processor, for a signal for example.
    Interrupted,
    /// Any other exit. Such an exit ends the guest.
    Other,
}

impl ExitReason {
    /// All reasons, in the order of [`ExitCounts`].
    pub const ALL: [Self; 6] = [
        Self::PortWrite,
        Self::PortRead,
        Self::AddressWrite,
        Self::AddressRead,
        Self::Interrupted,
        Self::Other,
    ];

    /// The reason's name in marks and results.
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

    /// The reason in a few words, for a report.
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

/// Exits by reason. The threads of all vCPUs share one `ExitCounts`.
#[derive(Debug, Default)]
pub struct ExitCounts([AtomicU64; ExitReason::ALL.len()]);

impl ExitCounts {
    /// Counts one exit.
    pub fn add(&self, reason: ExitReason) {
        self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Each reason with its number of exits.
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
