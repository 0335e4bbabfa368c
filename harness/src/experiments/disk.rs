//! Disk: throughput, rate and flush latency of one file, which is the same for every target, and
//! the rate at which small files are made and removed.
//!
//! Each case has a fresh instance. The host times throughput, from the byte that lets the workload
//! begin until the end line arrives, so no guest's clock is trusted. Only the latencies of single
//! operations come from inside.

mod cases;
mod timed_work;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use bytesize::ByteSize;
use isobench_reports::schema::disk::{METRICS, NAME};
use tempfile::TempDir;

use super::{
    Applicability, Case, DiskFile, Experiment, ExperimentInfo, MeasureContext, MeasureError,
    Measurement, MetricInfo, ReadyTarget, Rounds,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::host::session::Medium;
use crate::instance::{InstanceError, Stdin};
use crate::targets::{Capability, DiskAccess, TargetInfo};
use cases::{CASES, DiskCase};
use timed_work::time_work;

/// The size of one transfer of a sequential case.
const SEQUENTIAL_BLOCK: ByteSize = ByteSize::mib(1);
/// The size of one transfer of all other cases.
const SMALL_BLOCK: ByteSize = ByteSize::kib(4);

/// The size of the disk file.
pub(super) fn file_size(profile: Profile) -> ByteSize {
    match profile {
        Profile::Quick => ByteSize::mib(32),
        Profile::Standard => ByteSize::mib(128),
        Profile::Thorough => ByteSize::mib(512),
    }
}

/// How many times as many operations a case with several operations at once does.
const FACTOR_WHEN_DEEP: u64 = 4;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "One file on a disk, never in memory, is the same for every target: the \
    process \
    opens the file, the container has it bound in, and the microVM has it as its block device. \
    Several operations at once are threads, each with one operation under way. Small files are \
    made \
    and removed in an empty directory beside that file, which a container has bound in as well; a \
    block device has no directory. The host times throughput and rate from the workload's begin \
    line to its end line; the workload inside measures the latency of single flushes. O_DIRECT \
    figures bypass the page cache on the host. The titles of buffered figures say so, and `cached` \
    means that the file was read into the page cache just before. No figure says more about \
    durability than the host's own disk does.";

/// The experiment `disk`.
#[derive(Debug)]
pub struct Disk {
    info: ExperimentInfo,
    /// The bytes that a sequential case transfers.
    sequential: ByteSize,
    /// The bytes that a random case with one operation at once transfers.
    random: ByteSize,
    /// The bytes that are written and flushed.
    flushed: ByteSize,
}

impl Disk {
    /// The experiment with the amounts of work of `profile`.
    pub fn new(profile: Profile) -> Self {
        let operations: u64 = match profile {
            Profile::Quick => 500,
            Profile::Standard => 2000,
            Profile::Thorough => 10_000,
        };
        Self {
            info: ExperimentInfo {
                disk_file: DiskFile::Used,
                medium: Medium::Disk,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    METRICS.map(MetricInfo::from),
                    CASES
                        .iter()
                        .map(|case| Case::of(case.metrics.iter().copied())),
                    ByProfile {
                        quick: Rounds::new(0, 3),
                        standard: Rounds::new(1, 8),
                        thorough: Rounds::new(1, 30),
                    },
                )
            },
            sequential: file_size(profile),
            random: SMALL_BLOCK * operations,
            flushed: SMALL_BLOCK * (operations / 4),
        }
    }

    /// The size of one transfer of `case`, and of all transfers together.
    fn amounts(&self, case: &DiskCase) -> (ByteSize, ByteSize) {
        match case {
            DiskCase {
                sequential: true, ..
            } => (SEQUENTIAL_BLOCK, self.sequential),
            DiskCase {
                operation: "fsync", ..
            } => (SMALL_BLOCK, self.flushed),
            DiskCase { depth: 1, .. } => (SMALL_BLOCK, self.random),
            // Several operations at once take less time each, and the whole should take as long.
            DiskCase { .. } => (SMALL_BLOCK, self.random * FACTOR_WHEN_DEEP),
        }
    }

    /// The workload's arguments for `case`. `path` is that of the file or directory.
    fn arguments(&self, case: &DiskCase, path: &Path) -> Vec<String> {
        let (block, bytes) = self.amounts(case);
        let mut arguments: Vec<String> = ["--wait", "disk", "--op", case.operation]
            .map(str::to_owned)
            .into();
        let mut add = |option: &str, value: String| arguments.extend([option.to_owned(), value]);
        add("--block", block.as_u64().to_string());
        add("--bytes", bytes.as_u64().to_string());
        add("--path", path.to_string_lossy().into_owned());
        if case.depth > 1 {
            add("--depth", case.depth.to_string());
        }
        if case.direct {
            arguments.push("--direct".to_owned());
        }
        arguments
    }
}

impl Experiment for Disk {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        let case = &CASES[case];
        if case.direct
            && let Some(reason) = target.why_not(Capability::BypassPageCache)
        {
            return Applicability::Impossible(reason.into());
        }
        let lacks_directory = case.is_about_files() && target.files.is_none();
        match target.can(Capability::KernelServices) {
            false if case.depth > 1 => Applicability::Impossible(
                "without a kernel there is one operation at a time".into(),
            ),
            false if lacks_directory => {
                Applicability::Impossible("without a kernel no file system takes new files".into())
            }
            true if lacks_directory => Applicability::Impossible(
                "its disk is a block device without a file system: new files would be in the \
                 guest's memory alone"
                    .into(),
            ),
            _ => Applicability::Measured,
        }
    }

    fn measure(
        &self,
        case: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let case = &CASES[case];
        if case.operation == "seq-read" && !case.direct {
            warm_page_cache(context.disk).map_err(InstanceError::Pipe)?;
        }
        // Each sample has a new directory: a killed instance may have left files in the old one.
        let files = case
            .is_about_files()
            .then(|| directory_for_all(context.scratch));
        let files = files.transpose().map_err(MeasureError::Command)?;
        let files = files.as_ref().map(TempDir::path);
        let inside = target.info.files;
        let path = files.and_then(|files| Some(inside?.path(files)));
        let path = path.unwrap_or_else(|| target.info.disk.path(context.disk));
        let arguments = self.arguments(case, &path);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut launch = context.launch(&arguments);
        launch.disk = files.is_none().then_some(context.disk);
        launch.files = files;
        if case.direct {
            launch.access = DiskAccess::Direct;
        }
        let (group, mut instance) = context.start(target, launch, Stdin::HeldOpen)?;
        let work = time_work(&mut instance, case)?;
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(work.readings(case, self.amounts(case))?.into())
    }
}

/// Makes an empty directory on a disk, in which all users may make files: a container's root is
/// another user on the host.
fn directory_for_all(scratch: &Path) -> io::Result<TempDir> {
    let all = Permissions::from_mode(0o777);
    let directory = tempfile::Builder::new()
        .prefix("files-")
        .tempdir_in(scratch)?;
    fs::set_permissions(directory.path(), all)?;
    Ok(directory)
}

/// Reads `file` into the page cache.
pub(super) fn warm_page_cache(file: &Path) -> io::Result<()> {
    // From file to file, `io::copy` uses `sendfile(2)`, and the kernel copies no pages.
    let mut null = File::options().write(true).open("/dev/null")?;
    io::copy(&mut File::open(file)?, &mut null)?;
    Ok(())
}
