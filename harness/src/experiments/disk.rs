//! Disk: throughput, rate and flush latency of one file, the same for every target, and the rate at which small files come
//! and go.
//!
//! One fresh instance a case. Throughput is timed on the host, from the byte that has the workload begin to the arrival
//! of its end line, so that no guest's clock is trusted; only the latency of single flushes comes from inside.

mod cases;

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use isobench_reports::model::{self, PERCENTILES, Unit};
use isobench_reports::schema::disk::{FSYNC_MEDIAN, METRICS, NAME};
use isobench_workloads::latencies::Latencies;
use isobench_workloads::protocol::Message;
use tempfile::TempDir;

use super::{
    Applicability, Bench, Case, DiskFile, Experiment, ExperimentInfo, MeasureError, Measured,
    MetricInfo, Reading, Rounds, Subject,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::instance::{Instance, InstanceError, Stdin, unexpected};
use crate::targets::{Capability, DiskAccess, TargetInfo};
use cases::{Access, CASES};

/// Size of one transfer of a sequential case.
const SEQUENTIAL_BLOCK: ByteSize = ByteSize::mib(1);
/// Size of one transfer of a random case, and of a write that is flushed.
const SMALL_BLOCK: ByteSize = ByteSize::kib(4);

/// Bytes of the backing file.
pub(super) fn file_size(profile: Profile) -> ByteSize {
    match profile {
        Profile::Quick => ByteSize::mib(32),
        Profile::Standard => ByteSize::mib(128),
        Profile::Thorough => ByteSize::mib(512),
    }
}

/// By how much more operations are done where several are under way at once.
const MORE_WHEN_DEEP: u64 = 4;

/// How the figures are measured, for a report's reader.
const METHOD: &str = "One file on a disk, never in memory, the same for every target: the process opens it, the container has it \
    bound in, the microVM as its block device. Several at once are threads, each with one operation under way. Small \
    files are made and removed in an empty directory beside it, which a container has bound in too; a block device \
    has none. \
    Throughput and rate are timed on the host from the workload's begin line to its end line; the latency of \
    single flushes is measured inside. O_DIRECT figures bypass the page cache on the host; buffered ones are \
    labelled as such, and `cached` means that the file was read into the page cache just before. No figure says \
    more about durability than the host's own disk does.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Disk {
    info: ExperimentInfo,
    sequential: ByteSize,
    random: ByteSize,
    flushed: ByteSize,
}

impl Disk {
    /// The amounts of work for `profile`.
    pub fn new(profile: Profile) -> Self {
        let operations: u64 = match profile {
            Profile::Quick => 500,
            Profile::Standard => 2000,
            Profile::Thorough => 10_000,
        };
        Self {
            info: ExperimentInfo {
                disk_file: DiskFile::Used,
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

    /// Size of one transfer of `case`, and the bytes of all.
    fn amounts(&self, case: &Access) -> (ByteSize, ByteSize) {
        match case {
            Access {
                sequential: true, ..
            } => (SEQUENTIAL_BLOCK, self.sequential),
            Access {
                operation: "fsync", ..
            } => (SMALL_BLOCK, self.flushed),
            Access { depth: 1, .. } => (SMALL_BLOCK, self.random),
            // Several at once are done sooner, and there shall be as much to time.
            Access { .. } => (SMALL_BLOCK, self.random * MORE_WHEN_DEEP),
        }
    }

    /// What the workload is told to do for `case` at `path`.
    fn arguments(&self, case: &Access, path: &Path) -> Vec<String> {
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
        let lacks_directory = case.is_of_files() && target.files.is_none();
        match target.can(Capability::KernelServices) {
            false if case.depth > 1 => Applicability::Impossible(
                "without a kernel there is one thread, and one operation at a time",
            ),
            false if lacks_directory => {
                Applicability::Impossible("without a kernel no file system takes new files")
            }
            true if lacks_directory => Applicability::Impossible(
                "its disk is a block device without a file system: files of its own would be in its \
                 memory alone",
            ),
            _ => Applicability::Measured,
        }
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let case = &CASES[case];
        if case.operation == "seq-read" && !case.direct {
            warm_page_cache(bench.disk).map_err(InstanceError::Pipe)?;
        }
        // Made anew each time, so that what a killed instance has left in it is in nobody's way.
        let files = case.is_of_files().then(|| directory_for_all(bench.scratch));
        let files = files.transpose().map_err(MeasureError::Command)?;
        let files = files.as_ref().map(TempDir::path);
        let place = subject.info.files;
        let path = files.and_then(|files| Some(place?.path(files)));
        let path = path.unwrap_or_else(|| subject.info.disk.path(bench.disk));
        let arguments = self.arguments(case, &path);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut launch = bench.launch(&arguments);
        launch.disk = files.is_none().then_some(bench.disk);
        launch.files = files;
        if case.direct {
            launch.access = DiskAccess::Direct;
        }
        let (group, mut instance) = bench.start(subject, launch, Stdin::HeldOpen)?;
        let outcome = listen(&mut instance, case)?;
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(outcome.readings(case, self.amounts(case))?.into())
    }
}

/// An empty directory on a disk in which the mapped root of a container may make files as well.
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
    // To a file, so that the kernel moves the pages (`sendfile(2)`) and copies none.
    let mut nowhere = File::options().write(true).open("/dev/null")?;
    io::copy(&mut File::open(file)?, &mut nowhere)?;
    Ok(())
}

/// What a disk workload has said.
#[derive(Debug)]
struct Outcome {
    took: Duration,
    operations: u64,
    bytes: u64,
    latencies: Option<Latencies>,
}

fn listen(instance: &mut Instance, case: &Access) -> Result<Outcome, MeasureError> {
    let begun = instance.begin_work()?;
    let (operations, bytes, ended) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, at) => (operations, bytes, at),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let latencies = if case.is_timed_singly() {
        match instance.next_message("latencies")? {
            (Message::Latencies(latencies), _) => Some(latencies),
            (other, _) => return Err(unexpected(&other, "latencies").into()),
        }
    } else {
        None
    };
    let took = ended.since(begun).filter(|took| !took.is_zero());
    Ok(Outcome {
        took: took.ok_or(MeasureError::Untimed)?,
        operations,
        bytes: bytes.as_u64(),
        latencies,
    })
}

impl Outcome {
    /// The values, if the workload has done what it was asked for: blocks of one size, some bytes in all.
    fn readings(
        &self,
        case: &Access,
        (block, bytes): (ByteSize, ByteSize),
    ) -> Result<Vec<Reading>, MeasureError> {
        let operations = bytes.as_u64() / block.as_u64();
        // A file that is removed moves none.
        let moved = if case.operation == "unlink" {
            0
        } else {
            bytes.as_u64()
        };
        for (did, asked, unit) in [
            (self.bytes, moved, "bytes"),
            (self.operations, operations, "operations"),
        ] {
            if did != asked {
                return Err(MeasureError::OtherAmount { did, asked, unit });
            }
        }
        if let Some(latencies) = self
            .latencies
            .as_ref()
            .filter(|l| l.count() != self.operations)
        {
            return Err(MeasureError::OtherAmount {
                did: latencies.count(),
                asked: self.operations,
                unit: "timed operations",
            });
        }
        let seconds = self.took.as_secs_f64();
        let mut readings: Vec<Reading> = case
            .metrics
            .iter()
            .filter_map(|metric| match (metric.unit, &self.latencies) {
                (Unit::BytesPerSecond, _) => {
                    Some(Reading::total(metric.name, self.bytes as f64 / seconds))
                }
                (Unit::OperationsPerSecond, _) => Some(Reading::total(
                    metric.name,
                    self.operations as f64 / seconds,
                )),
                (_, Some(latencies)) => {
                    let percentile = if *metric == FSYNC_MEDIAN { 50.0 } else { 99.0 };
                    Some(Reading::duration(
                        metric.name,
                        latencies.percentile(percentile)?,
                    ))
                }
                (_, None) => None,
            })
            .collect();
        // They belong to the case, and its first metric stands for that.
        if let Some(first) = readings.first_mut() {
            first.latencies = self.latencies.as_ref().and_then(percentiles);
        }
        Ok(readings)
    }
}

/// The percentiles that are kept of a histogram; none of an empty one.
fn percentiles(latencies: &Latencies) -> Option<model::Latencies> {
    let nanos = PERCENTILES.iter().map(|percent| {
        let latency = latencies.percentile(*percent)?;
        u64::try_from(latency.as_nanos()).ok()
    });
    Some(model::Latencies {
        count: latencies.count(),
        nanos: nanos.collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::interrupt::Interrupt;
    use crate::instance::command_line::CommandLine;

    #[test]
    fn what_is_kept_of_a_histogram_is_sound() {
        let mut latencies = Latencies::new();
        assert_eq!(percentiles(&latencies), None);
        latencies.record(Duration::from_micros(3));
        latencies.record(Duration::MAX);
        let kept = percentiles(&latencies).unwrap();
        assert!(kept.is_sound() && kept.count == 2, "{kept:?}");
        let ends = (kept.nanos[0], kept.nanos[11]);
        assert!(
            (2990..3010).contains(&ends.0) && ends.1 > 1 << 35,
            "{kept:?}"
        );
    }

    #[test]
    fn work_that_does_not_wait_has_no_throughput() {
        let interrupt = Interrupt::never().unwrap();
        let lines = "isobench/1 begin\nisobench/1 end operations=1 bytes=4096\n";
        let command = CommandLine::new("/bin/sh").args(["-c", &format!("printf '{lines}'")]);
        let limit = Duration::from_secs(20);
        let mut instance = Instance::start(&command, Stdin::Null, limit, &interrupt).unwrap();
        let error = listen(&mut instance, &CASES[0]).unwrap_err();
        let reason = "before it was told to begin";
        assert!(error.to_string().contains(reason), "{error}");
    }
}
