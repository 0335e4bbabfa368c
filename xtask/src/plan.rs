//! What the lab's machine is to do and what it did: files that the host and the machine hand each
//! other on the disk.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the machine finds its plan.
pub const PLAN: &str = "/lab/plan.json";
/// What the machine writes here is brought out.
pub const OUT: &str = "/lab/out";
/// The outcomes, in [`OUT`].
pub const OUTCOMES: &str = "outcomes.json";
/// Lines on the machine's console that are for the host's user begin with this word.
pub const PREFIX: &str = "lab: ";

/// What to do, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The steps; a failed one doesn't keep the next from running.
    pub steps: Vec<Step>,
}

/// One program to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The step's name, which is the name of its log too.
    pub name: String,
    /// The step's program and arguments.
    pub command: Vec<String>,
    /// Its working directory.
    pub directory: PathBuf,
    /// Its environment.
    pub environment: Vec<(String, String)>,
    /// Seconds after which the program is killed.
    pub limit: u64,
    /// How often the program is started at most, until a start passes.
    pub tries: u32,
    /// Whether the program's output goes to the console and not to a log.
    pub echo: bool,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The step's name.
    pub name: String,
    /// The program's exit code, 128 + N if signal N ended the program.
    pub code: i32,
    /// How long the step took by the machine's clock.
    pub seconds: f64,
    /// Processes, mounts and cgroups that were there after the step and not before.
    pub left_behind: Vec<String>,
}

impl Outcome {
    /// Whether all is well.
    pub fn succeeded(&self) -> bool {
        self.code == 0 && self.left_behind.is_empty()
    }
}
