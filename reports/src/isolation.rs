//! How much a target isolates: the metrics of the experiment that looks, by which the trade-off is drawn.

/// Name of the experiment.
pub const ISOLATION: &str = "isolation";
/// Different system calls of the host's kernel that the target makes while the program tries every one.
pub const HOST_CALLS: &str = "host-calls";
/// How many those are altogether.
pub const MADE: &str = "host-calls-made";
/// Different ones with the start.
pub const WHOLE: &str = "host-calls-whole";
/// System calls that are answered inside.
pub const ANSWERED: &str = "answered";
/// System calls that are refused inside.
pub const REFUSED: &str = "refused";
/// Whether the program runs on the host's kernel: 1 or 0.
pub const HOST_KERNEL: &str = "host-kernel";
/// Different reasons for which a guest came out.
pub const REASONS: &str = "exit-reasons";
/// How often it did.
pub const EXITS: &str = "exits";
