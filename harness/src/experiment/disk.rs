//! Disk: throughput, rate and flush latency of one file, the same for every target.
//!
//! One fresh instance a case. Throughput is timed on the host, from the byte that has the workload begin to the arrival
//! of its end line, so that no guest's clock is trusted; only the latency of single flushes comes from inside.

mod cases;

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use bytesize::ByteSize;
use isobench_reports::model::{Part, Unit};
use isobench_workloads::latencies::Latencies;
use isobench_workloads::protocol::Message;

use super::{
    Bench, DISK, Experiment, MeasureError, Measured, MetricInfo, Reading, Rounds, Subject,
};
use crate::instance::{Instance, InstanceError, Stdin, unexpected};
use crate::plan::Profile;
use crate::target::Target;
use cases::{CASES, Case, FSYNC_MEDIAN};

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

/// See the module's documentation.
#[derive(Debug)]
pub struct Disk {
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
            sequential: file_size(profile),
            random: SMALL_BLOCK * operations,
            flushed: SMALL_BLOCK * (operations / 4),
        }
    }

    /// Size of one transfer of `case`, and the bytes of all.
    fn amounts(&self, case: &Case) -> (ByteSize, ByteSize) {
        match case {
            Case {
                sequential: true, ..
            } => (SEQUENTIAL_BLOCK, self.sequential),
            Case {
                operation: "fsync", ..
            } => (SMALL_BLOCK, self.flushed),
            Case { depth: 1, .. } => (SMALL_BLOCK, self.random),
            // Several at once are done sooner, and there shall be as much to time.
            Case { .. } => (SMALL_BLOCK, self.random * MORE_WHEN_DEEP),
        }
    }
}

impl Experiment for Disk {
    fn name(&self) -> &'static str {
        DISK
    }

    fn method(&self) -> &'static str {
        "One file on a disk, never in memory, the same for every target: the process opens it, the container has it \
         bound in, the microVM as its block device. Several at once are threads, each with one operation under way. \
         Throughput and rate are timed on the host from the workload's begin line to its end line; the latency of \
         single flushes is measured inside. O_DIRECT figures bypass the page cache on the host; buffered ones are \
         labelled as such, and `cached` means that the file was read into the page cache just before. No figure says \
         more about durability than the host's own disk does."
    }

    fn metrics(&self) -> Vec<MetricInfo> {
        CASES
            .iter()
            .flat_map(|case| case.metrics)
            .copied()
            .collect()
    }

    fn parts(&self, _: &str, _: &[&dyn Target]) -> Vec<Part> {
        Vec::new()
    }

    fn uses_disk(&self) -> bool {
        true
    }

    fn cases(&self) -> Vec<Vec<&'static str>> {
        CASES
            .iter()
            .map(|case| case.metrics.iter().map(|metric| metric.name).collect())
            .collect()
    }

    fn why_not(&self, case: usize, target: &dyn Target) -> Option<&'static str> {
        let lacks_threads = CASES[case].depth > 1 && !target.has_kernel();
        lacks_threads.then_some("without a kernel there is one thread, and one operation at a time")
    }

    fn rounds(&self, profile: Profile) -> Rounds {
        match profile {
            Profile::Quick => Rounds {
                warmup: 0,
                measured: 3,
            },
            Profile::Standard => Rounds {
                warmup: 1,
                measured: 8,
            },
            Profile::Thorough => Rounds {
                warmup: 1,
                measured: 30,
            },
        }
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let case = &CASES[case];
        let (block, bytes) = self.amounts(case);
        if case.operation == "seq-read" && !case.direct {
            warm_page_cache(bench.disk).map_err(InstanceError::Pipe)?;
        }
        let path = subject.target.disk_path(bench.disk);
        let (block_text, bytes_text) = (block.as_u64().to_string(), bytes.as_u64().to_string());
        let path_text = path.to_string_lossy();
        let mut arguments = vec![
            "--wait",
            "disk",
            "--op",
            case.operation,
            "--block",
            &block_text,
            "--bytes",
            &bytes_text,
            "--path",
            &path_text,
        ];
        if case.direct {
            arguments.push("--direct");
        }
        let depth = case.depth.to_string();
        if case.depth > 1 {
            arguments.extend(["--depth", &depth]);
        }
        let mut launch = bench.launch(subject, &arguments);
        launch.disk = Some(bench.disk);
        launch.direct = case.direct;
        let (group, mut instance) = bench.start(subject, launch, Stdin::Held)?;
        let outcome = listen(&mut instance, case)?;
        let ended = instance.finished()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(outcome.readings(case, bytes)?.into())
    }
}

/// Reads `file` into the page cache.
pub(super) fn warm_page_cache(file: &Path) -> io::Result<()> {
    io::copy(&mut File::open(file)?, &mut io::sink())?;
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

fn listen(instance: &mut Instance, case: &Case) -> Result<Outcome, MeasureError> {
    let begun = instance.begin()?;
    let (operations, bytes, ended) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, at) => (operations, bytes, at),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let latencies = if case.sequential || case.depth > 1 {
        None
    } else {
        match instance.next_message("latencies")? {
            (Message::Latencies(latencies), _) => Some(latencies),
            (other, _) => return Err(unexpected(&other, "latencies").into()),
        }
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
    fn readings(&self, case: &Case, asked: ByteSize) -> Result<Vec<Reading>, MeasureError> {
        if self.bytes != asked.as_u64() {
            return Err(MeasureError::OtherAmount {
                did: self.bytes,
                asked: asked.as_u64(),
                unit: "bytes",
            });
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
        Ok(case
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
                    let percentile = if metric.name == FSYNC_MEDIAN {
                        50.0
                    } else {
                        99.0
                    };
                    Some(Reading::duration(
                        metric.name,
                        latencies.percentile(percentile)?,
                    ))
                }
                (_, None) => None,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupt::Interrupt;
    use crate::spawn::CommandLine;

    #[test]
    fn work_that_does_not_wait_has_no_throughput() {
        let interrupt = Interrupt::never().unwrap();
        let lines = "isobench/1 begin\nisobench/1 end operations=1 bytes=4096\n";
        let command = CommandLine::new("/bin/sh").args(["-c", &format!("printf '{lines}'")]);
        let limit = Duration::from_secs(20);
        let mut instance = Instance::start(&command, Stdin::Null, limit, &interrupt).unwrap();
        let error = listen(&mut instance, &CASES[0]).unwrap_err();
        let hasty = "where its waiting was due";
        assert!(error.to_string().contains(hasty), "{error}");
    }
}
