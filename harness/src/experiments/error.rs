//! Why a sample has no value.

use std::io;
use std::path::PathBuf;

use bytesize::ByteSize;

use super::host_end::NetError;
use crate::host::accounting::AccountingError;
use crate::host::page_cache::PageCacheError;
use crate::host::probe::disk_use::DiskUseError;
use crate::instance::InstanceError;

/// A case gave no values.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The instance misbehaved.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The network, or the instance at the other end, did.
    #[error(transparent)]
    Net(#[from] NetError),
    /// It has none.
    #[error("the target has no network by which an instance could reach the host")]
    NoNetwork,
    /// The experiment contradicts its own description.
    #[error(
        "the experiment gave `{metric}`, which isn't a metric of this case: report this as a bug"
    )]
    UnknownMetric {
        /// Name of the metric.
        metric: &'static str,
    },
    /// Without cgroups nothing is charged to anything.
    #[error("no cgroup can be made here: see the warning about memory")]
    NoAccounting,
    /// Its cgroup could not be used.
    #[error(transparent)]
    Accounting(#[from] AccountingError),
    /// A file that it needs could not be made.
    #[error("cannot make what the instance needs")]
    Command(#[source] io::Error),
    /// Its files could not be brought out of memory, or into it.
    #[error(transparent)]
    PageCache(#[from] PageCacheError),
    /// What its files take can't be found out.
    #[error(transparent)]
    DiskUse(#[from] DiskUseError),
    /// What stands for an image, or a copy of it, could not be made.
    #[error("cannot make {}, which stands for an image", path.display())]
    Base {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Further instances could have brought the host down.
    #[error(
        "not taken: {running} instances run, and {available} of the host's {total} of memory are left"
    )]
    HostFull {
        /// How many run.
        running: u32,
        /// Memory that programs could still have.
        available: ByteSize,
        /// The host's memory.
        total: ByteSize,
    },
    /// It would most probably have used up its time again.
    #[error("not taken: {hung} samples of {target} in a row had used up their time")]
    GivenUp {
        /// The target.
        target: &'static str,
        /// How many.
        hung: u32,
    },
    /// The tracer never said that it had heard.
    #[error("the tracer doesn't say that it watches")]
    NotWatched,
    /// What it should have counted isn't there.
    #[error("the launcher doesn't say how many {0} there were")]
    NotCounted(&'static str),
    /// Time ran backwards, or a launcher lies.
    #[error("phase `{phase}` ends before the one that precedes it")]
    NegativePhase {
        /// The phase.
        phase: String,
    },
    /// The harness did not get to read the line that starts the clock before there was the one that stops it.
    #[error(
        "the begin line and the end line were read at once: the host was too busy to time the work between them"
    )]
    Untimed,
    /// The workload did another amount of work than it was asked for.
    #[error("the workload says that it did {did} {unit}, and was asked for {asked}")]
    OtherAmount {
        /// What it says.
        did: u64,
        /// What it was asked for.
        asked: u64,
        /// Of what.
        unit: &'static str,
    },
}

impl MeasureError {
    /// Whether the instance used up its time.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::Instance(InstanceError::Timeout { .. } | InstanceError::Closed { .. })
        )
    }

    /// Whether the user stopped the run, so that this isn't the instance's failure.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            Self::Instance(InstanceError::Interrupted) | Self::Net(NetError::Interrupted)
        )
    }
}
