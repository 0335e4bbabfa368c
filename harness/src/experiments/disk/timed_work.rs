//! The timed work of one sample of `disk`, and the readings that follow from it.

use std::time::Duration;

use bytesize::ByteSize;
use isobench_reports::model::{self, PERCENTILES, Unit};
use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::disk::FSYNC_MEDIAN;
use isobench_workloads::latencies::Latencies;
use isobench_workloads::protocol::Message;

use super::cases::DiskCase;
use crate::experiments::{MeasureError, Reading};
use crate::instance::{Instance, unexpected};

/// The work of an instance, and the time that the work took.
#[derive(Debug)]
pub(super) struct TimedWork {
    took: Duration,
    operations: u64,
    bytes: u64,
    latencies: Option<Latencies>,
}

/// Lets the instance begin its work, and times the work until the end line.
pub(super) fn time_work(
    instance: &mut Instance,
    case: &DiskCase,
) -> Result<TimedWork, MeasureError> {
    let begun = instance.begin_work()?;
    let (operations, bytes, ended) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, at) => (operations, bytes, at),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let latencies = if case.has_latencies() {
        match instance.next_message("latencies")? {
            (Message::Latencies(latencies), _) => Some(latencies),
            (other, _) => return Err(unexpected(&other, "latencies").into()),
        }
    } else {
        None
    };
    let took = ended.since(begun).filter(|took| !took.is_zero());
    Ok(TimedWork {
        took: took.ok_or(MeasureError::Untimed)?,
        operations,
        bytes: bytes.as_u64(),
        latencies,
    })
}

impl TimedWork {
    /// The readings of `case`, if the workload has done the requested work: blocks of one size,
    /// some bytes in all.
    pub(super) fn readings(
        &self,
        case: &DiskCase,
        amounts: (ByteSize, ByteSize),
    ) -> Result<Vec<Reading>, MeasureError> {
        self.check(case, amounts)?;
        let metrics = case.metrics.iter();
        let mut readings: Vec<Reading> =
            metrics.filter_map(|metric| self.reading(*metric)).collect();
        // The latencies belong to the whole case. The results hold them with the case's first
        // metric.
        if let Some(first) = readings.first_mut() {
            first.latencies = self.latencies.as_ref().and_then(percentiles);
        }
        Ok(readings)
    }

    /// Checks that the workload has done the requested amount of work.
    fn check(
        &self,
        case: &DiskCase,
        (block, bytes): (ByteSize, ByteSize),
    ) -> Result<(), MeasureError> {
        let operations = bytes.as_u64() / block.as_u64();
        // The removal of a file transfers no bytes.
        let transferred = if case.operation == "unlink" {
            0
        } else {
            bytes.as_u64()
        };
        let timed = self.latencies.as_ref().map(Latencies::count);
        let timed = timed.unwrap_or(self.operations);
        for (did, requested, unit) in [
            (self.bytes, transferred, "bytes"),
            (self.operations, operations, "operations"),
            (timed, self.operations, "timed operations"),
        ] {
            if did != requested {
                return Err(MeasureError::OtherAmount {
                    did,
                    requested,
                    unit,
                });
            }
        }
        Ok(())
    }

    /// The value of one metric; `None` if the workload reported no latencies.
    fn reading(&self, metric: MetricSchema) -> Option<Reading> {
        let seconds = self.took.as_secs_f64();
        let latencies = self.latencies.as_ref();
        Some(match metric.unit {
            Unit::BytesPerSecond => Reading::total(metric.name, self.bytes as f64 / seconds),
            Unit::OperationsPerSecond => {
                Reading::total(metric.name, self.operations as f64 / seconds)
            }
            _ => {
                let percent = if metric == FSYNC_MEDIAN { 50.0 } else { 99.0 };
                Reading::duration(metric.name, latencies?.percentile(percent)?)
            }
        })
    }
}

/// The percentiles of a histogram that the results hold; `None` for an empty histogram.
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
    use crate::experiments::disk::cases::CASES;
    use crate::host::interrupt::Interrupt;
    use crate::instance::Stdin;
    use crate::instance::command_line::CommandLine;

    #[test]
    fn the_percentiles_of_a_histogram_are_sound() {
        let mut latencies = Latencies::new();
        assert_eq!(percentiles(&latencies), None);
        latencies.record(Duration::from_micros(3));
        latencies.record(Duration::MAX);
        let kept = percentiles(&latencies).unwrap();
        assert!(kept.is_sound(), "{kept:?}");
        assert_eq!(kept.count, 2);
        let (first, last) = (kept.nanos[0], kept.nanos[11]);
        assert!((2990..3010).contains(&first), "{kept:?}");
        assert!(last > 1 << 35, "{kept:?}");
    }

    #[test]
    fn work_that_does_not_wait_has_no_throughput() {
        let interrupt = Interrupt::never().unwrap();
        let lines = "isobench/1 begin\nisobench/1 end operations=1 bytes=4096\n";
        let command = CommandLine::new("/bin/sh").args(["-c", &format!("printf '{lines}'")]);
        let limit = Duration::from_secs(20);
        let mut instance = Instance::start(&command, Stdin::Null, limit, &interrupt).unwrap();
        let error = time_work(&mut instance, &CASES[0]).unwrap_err();
        let reason = "before it was told to begin";
        assert!(error.to_string().contains(reason), "{error}");
    }
}
