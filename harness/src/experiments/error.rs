//! Why a sample has no value.

use std::io;
use std::path::PathBuf;

use bytesize::ByteSize;

use super::host_socket::NetError;
use crate::host::accounting::AccountingError;
use crate::host::page_cache::PageCacheError;
use crate::host::probe::disk_use::DiskUseError;
use crate::instance::InstanceError;
use crate::instance::timed::TimedError;

/// A case gave no values.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The instance did not do what it was started for.
    #[error(transparent)]
    Instance(#[from] InstanceError),
    /// The user's command did not do what it should.
    #[error(transparent)]
    Timed(#[from] TimedError),
    /// The user's preparation of a sample failed.
    #[error("the preparation `{script}` failed")]
    Preparation {
        /// The script of the host's shell.
        script: String,
        /// What is wrong.
        source: TimedError,
    },
    /// The file that the user's command reads can't be opened.
    #[error("cannot open the input {}", path.display())]
    Input {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The network failed, or the instance at its other end did.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The target has no network to the host.
    #[error("the target has no network by which an instance could reach the host")]
    NoNetwork,
    /// The experiment contradicts its own description.
    #[error(
        "the experiment gave `{metric}`, which isn't a metric of this case: report this as a bug"
    )]
    UnknownMetric {
        /// The name of the metric.
        metric: &'static str,
    },
    /// isobench can make no cgroup, so no memory is charged to an instance.
    #[error("isobench can make no cgroup on this host: see the warning about memory")]
    NoAccounting,
    /// The instance's cgroup could not be used.
    #[error(transparent)]
    Accounting(#[from] AccountingError),
    /// A file that the instance needs could not be made.
    #[error("cannot make what the instance needs")]
    Command(#[source] io::Error),
    /// The target's files could not be evicted from the page cache, or not be read into it.
    #[error(transparent)]
    PageCache(#[from] PageCacheError),
    /// The space that the target's files take on the disk could not be found out.
    #[error(transparent)]
    DiskUse(#[from] DiskUseError),
    /// A base, which stands for an image, could not be made.
    #[error("cannot make {}, which stands for an image", path.display())]
    Base {
        /// The path of the base.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// More instances could use up the host's memory.
    #[error(
        "not taken: {running} instances run, and only {available} of the host's {total} of memory \
         are left"
    )]
    HostFull {
        /// The number of running instances.
        running: u32,
        /// The memory that is available to programs.
        available: ByteSize,
        /// The host's memory.
        total: ByteSize,
    },
    /// The last samples of the target took too long, and this one probably would as well.
    #[error("not taken: {hung} samples of {target} in a row had used up their time")]
    GivenUp {
        /// The name of the target.
        target: &'static str,
        /// The number of samples in a row that took too long.
        hung: u32,
    },
    /// The tracer did not confirm that it counts.
    #[error("the tracer doesn't confirm that it counts the system calls")]
    NotWatched,
    /// A count of the launcher is missing.
    #[error("the launcher doesn't report its count of `{0}`")]
    NotCounted(&'static str),
    /// A phase would have a negative length: the clock went backwards, or a launcher's mark is
    /// wrong.
    #[error("phase `{phase}` ends before the previous phase ends")]
    NegativePhase {
        /// The name of the phase.
        phase: String,
    },
    /// The harness read the begin line and the end line at the same time.
    #[error(
        "the begin line and the end line were read at once: the host was too busy to time the work \
         between them"
    )]
    Untimed,
    /// The workload did not do the requested amount of work.
    #[error("the workload reports {did} {unit} instead of the requested {requested}")]
    OtherAmount {
        /// The amount that the workload reports.
        did: u64,
        /// The requested amount.
        requested: u64,
        /// The unit of both amounts.
        unit: &'static str,
    },
}

impl MeasureError {
    /// Whether the host lacks something that every target would need.
    pub fn is_obstacle(&self) -> bool {
        matches!(self, Self::NoAccounting | Self::NoNetwork)
    }

    /// Whether the instance used up its time.
    pub fn is_timeout(&self) -> bool {
        matches!(
            self,
            Self::Instance(InstanceError::Timeout { .. } | InstanceError::Closed { .. })
        )
    }

    /// Whether the user stopped the run. The instance has not failed then.
    pub fn is_interrupt(&self) -> bool {
        matches!(
            self,
            Self::Instance(InstanceError::Interrupted)
                | Self::Net(NetError::Interrupted)
                | Self::Timed(TimedError::Interrupted)
        )
    }
}
