//! The options of `isobench run` and `isobench time` that decide what is measured, and how.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::injection::RequestedDelay;
use super::stop::StopOptions;
use crate::experiments::profile::Profile;
use crate::host::pin::Processors;
use crate::host::programs::Programs;
use crate::targets::{self, Daemons, Target, UnknownTarget};
use crate::values::parse_time;

/// The options of a run.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Which targets are measured.
    #[command(flatten)]
    pub choice: TargetOptions,
    /// Experiments to run, separated by commas [default: all but burst, start-cold,
    /// start-gaps, start-beside and start-warm]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub experiments: Option<Vec<String>>,
    /// How much to measure, and how long to take
    #[arg(long, value_enum, default_value_t = Profile::Standard)]
    pub profile: Profile,
    /// How the run is conducted.
    #[command(flatten)]
    pub conduct: ConductOptions,
    /// Add a delay of a known size to every start: [TARGET:]startup=+500us
    #[arg(long, hide = true)]
    pub inject: Vec<RequestedDelay>,
    /// How long one instance may take before its sample counts as failed
    #[arg(long, hide = true, value_name = "TIME", value_parser = parse_time)]
    pub sample_limit: Option<Duration>,
    /// Measure the bare process twice, as two targets
    #[arg(long, hide = true)]
    pub twin: bool,
}

impl Options {
    /// The options of a run for which the user gives only a profile.
    pub fn of_profile(profile: Profile) -> Self {
        Self {
            choice: TargetOptions::default(),
            experiments: None,
            profile,
            conduct: ConductOptions::default(),
            inject: Vec::new(),
            sample_limit: None,
            twin: false,
        }
    }
}

/// The options that choose the targets of a run.
#[derive(Debug, Clone, Default, Args)]
pub struct TargetOptions {
    /// Targets to measure, separated by commas: names, or the groups `rungs`, `floors`, `peers` and
    /// `all` [default: the rungs, the floors, and the peers that start within some 50 ms; a slower
    /// peer such as gVisor must be named]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub targets: Option<Vec<String>>,
    /// Start dockerd and containerd for the targets `docker` and `containerd`, with a private
    /// socket and directory, and end them with the run; without this option these targets are
    /// measured only if their daemons run already
    #[arg(long)]
    pub start_daemons: bool,
}

impl TargetOptions {
    /// The targets that the options choose, in the order of the report.
    ///
    /// # Errors
    /// [`UnknownTarget`] with the names that exist.
    pub fn choose(&self, programs: &Programs) -> Result<Vec<Box<dyn Target>>, UnknownTarget> {
        let daemons = if self.start_daemons {
            Daemons::StartOwn
        } else {
            Daemons::UseRunning
        };
        targets::choose(targets::all(programs, daemons), self.targets.as_deref())
    }
}

/// The options that decide how a run is conducted, whatever it measures.
#[derive(Debug, Clone, Args)]
pub struct ConductOptions {
    /// Seed of the shuffled order, which the results hold [default: random]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Target that ratios refer to [default: process]
    #[arg(long, value_name = "NAME")]
    pub baseline: Option<String>,
    /// When to stop, if not after all rounds.
    #[command(flatten)]
    pub stop_options: StopOptions,
    /// Change the host's settings that make timings noisy, for the time of the run: frequency
    /// governor, turbo, huge pages, same-page merging. All settings are restored when the run ends,
    /// also if it is killed
    #[arg(long)]
    pub tune: bool,
    /// Keep isobench, and all programs, virtual CPUs and load threads that it starts, on these
    /// processors, such as 2 or 0,2-3
    #[arg(long, value_name = "CPUS")]
    pub pin: Option<Processors>,
    /// Directory below which `--tune` finds the kernel's files
    #[arg(long, hide = true, value_name = "DIR", default_value = "/")]
    pub tune_root: PathBuf,
    /// Directory to write to; results that it holds are never overwritten [default:
    /// isobench-results/DATE]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

impl Default for ConductOptions {
    fn default() -> Self {
        Self {
            seed: None,
            baseline: None,
            stop_options: StopOptions::default(),
            tune: false,
            pin: None,
            tune_root: PathBuf::from("/"),
            out: None,
        }
    }
}
