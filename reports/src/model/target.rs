//! The targets of a run: what isolates, and why some of them can't run on a host.

use serde::{Deserialize, Serialize};

/// A way to isolate: one row of the ladder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Stable name, such as `process` or `microvm-bare`.
    pub name: String,
    /// One sentence: what this target adds.
    pub description: String,
    /// Where it stands.
    pub kind: TargetKind,
    /// What kind of isolation the target is.
    #[serde(default)]
    pub family: TargetFamily,
    /// Version of the runtime behind it.
    pub version: Option<String>,
    /// What a peer does otherwise than isobench's container, a sentence each; empty for isobench's own targets.
    pub differences: Vec<String>,
    /// Name of the target that does a part of what this one does, so that this one can't be faster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    /// Set if this host can't run it.
    pub unavailable: Option<Unavailable>,
}

/// Where a target stands on the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A rung of isobench's own ladder; 0 is the bare process.
    Rung(u8),
    /// The least work that a mechanism needs: what a rung is held against.
    Floor,
    /// A runtime that people use.
    Peer,
}

/// Why a target can't run, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unavailable {
    /// What is missing on this host.
    pub reason: String,
    /// What would bring it.
    pub fix: String,
    /// The one command that brings it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// What kind of isolation a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetFamily {
    /// A process of the host without isolation.
    Process,
    /// A container: namespaces on the host's kernel, whatever program makes them.
    Container,
    /// A kernel in user space, which serves the system calls of a program.
    UserSpaceKernel,
    /// A virtual machine without a part of what a PC has: firmware, a kernel or an init.
    MicroVm,
    /// A virtual machine like a PC, with firmware, a kernel and an init.
    TraditionalVm,
    /// A single mechanism, such as a floor of the ladder, or what the results file doesn't say.
    #[default]
    #[serde(other)]
    Other,
}

impl TargetFamily {
    /// Whether a target of this family is a virtual machine.
    pub const fn is_machine(self) -> bool {
        matches!(self, Self::MicroVm | Self::TraditionalVm)
    }
}
