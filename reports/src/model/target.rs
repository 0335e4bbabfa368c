//! The targets of a run: what isolates, and why some of them can't run on a host.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A way to isolate: one row of the ladder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The target's name, such as `process` or `microvm-bare`; it never changes.
    pub name: String,
    /// One sentence: what the target adds to a bare process.
    pub description: String,
    /// The target's place on the ladder.
    pub kind: TargetKind,
    /// What kind of isolation the target is.
    #[serde(default)]
    pub family: TargetFamily,
    /// The version of the runtime behind the target.
    pub version: Option<String>,
    /// What the target does otherwise than isobench's container, a sentence each. Of isobench's own
    /// targets, only the bare process has any, and only with an image's files.
    pub differences: Vec<String>,
    /// The name of a target that does a part of what this target does. So this target can't be
    /// faster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    /// Whether the target's processor is a program, which takes tens of times longer than a processor.
    #[serde(default, skip_serializing_if = "is_false")]
    pub emulated: bool,
    /// Why the host can't run the target, if so.
    pub unavailable: Option<Unavailable>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls the function with a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// A target's place on the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A rung of isobench's own ladder; 0 is the bare process.
    Rung(u8),
    /// The least work that a mechanism needs. A rung is compared with its floor.
    Floor,
    /// A runtime that people use.
    Peer,
}

/// Why a target can't run, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unavailable {
    /// What is missing on the host.
    pub reason: String,
    /// What would let the target run.
    pub fix: String,
    /// The one command that would let the target run, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// What kind of isolation a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
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
    /// A single mechanism, such as a floor; also what a results file doesn't say.
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
