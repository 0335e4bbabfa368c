//! Memory: what one idle instance costs beyond the memory that its program touches.
//!
//! There are two figures for the same instance, because each leaves something out. The *charge* is
//! what the kernel accounts to the instance's cgroup, and includes the kernel's own memory for the
//! instance. The *PSS* is what the instance's processes map, where a page that several processes
//! share is divided among them. The PSS needs no cgroup, and doesn't include the kernel's own
//! memory.

use bytesize::ByteSize;
use isobench_reports::schema::memory::{CHARGE, NAME, PSS};
use procfs::ProcError;

use super::{
    Case, Experiment, ExperimentInfo, MeasureContext, MeasureError, Measurement, MetricInfo, Parts,
    Reading, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;
use crate::host::probe::pss::Pss;
use crate::instance::Stdin;

/// The memory that the workload touches: enough to reveal a target that uses twice as much.
const TOUCHED: ByteSize = ByteSize::mib(16);

/// The parts of memory, each with its explanation.
const ANON: (&str, &str) = (
    "anon",
    "anonymous pages: heaps, stacks, guest RAM, beyond the 16 MiB that the program touches",
);
const FILE: (&str, &str) = ("file", "pages of files, tmpfs included");
const KERNEL: (&str, &str) = (
    "kernel",
    "the kernel's own memory: page tables, stacks, namespaces, virtual CPUs",
);

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "One instance runs a program that touches 16 MiB and then blocks. The harness \
    reads the instance's memory after the ready line, and subtracts the 16 MiB. `charge` is the \
    kernel's account of the instance's cgroup, launcher included: anonymous pages, file pages and \
    kernel memory. `pss` is the proportional set size, summed over the instance's processes; it \
    leaves kernel memory out. The programs' own files are in the page cache beforehand.";

/// The experiment `memory`.
#[derive(Debug)]
pub struct Memory {
    info: ExperimentInfo,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo::new(
                NAME,
                METHOD,
                [
                    MetricInfo::from(CHARGE).in_parts(Parts::named([ANON, FILE, KERNEL])),
                    MetricInfo::from(PSS).in_parts(Parts::named([ANON, FILE])),
                ],
                [Case::of([CHARGE, PSS])],
                ByProfile {
                    quick: Rounds::new(1, 5),
                    standard: Rounds::new(1, 15),
                    thorough: Rounds::new(2, 50),
                },
            ),
        }
    }
}

impl Experiment for Memory {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn measure(
        &self,
        _: usize,
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let touched = TOUCHED.as_u64().to_string();
        let launch = context.launch(&["idle", "--touch", &touched]);
        let (group, mut instance) = context.start(target, launch, Stdin::HeldOpen)?;
        if let Some(group) = &group {
            // The harness's own memory must not be charged to the group. Nothing is timed here, so
            // the harness can leave at once.
            group.leave()?;
        }
        instance.wait_until_ready()?;

        let mut measured = Measurement::default();
        if let Some(group) = &group {
            let memory = group.memory()?;
            measured.readings.extend(beyond_touched(
                CHARGE.name,
                &[
                    ("anon", memory.anonymous),
                    ("file", memory.file),
                    ("kernel", memory.kernel),
                ],
            ));
        }
        let pss = match &group {
            Some(group) => Pss::of_processes(group.processes()?),
            None => Pss::of_tree(instance.pid()),
        };
        match pss {
            Ok(pss) => measured.readings.extend(beyond_touched(
                PSS.name,
                &[("anon", pss.anon), ("file", pss.file)],
            )),
            Err(error) => measured.missing.push((PSS.name, reason_for_no_pss(&error))),
        }

        let ended = target.end_idle_instances(vec![instance])?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(measured)
    }
}

/// Why the PSS can't be read. An ordinary user may not look at a container's first process.
fn reason_for_no_pss(error: &ProcError) -> String {
    match error {
        ProcError::PermissionDenied(_) => {
            "this user may not look at all processes of the instance: run as root".to_owned()
        }
        other => format!("cannot read the memory of the instance's processes: {other}"),
    }
}

/// The `parts` without the bytes that the program itself touched, after their sum. The touched
/// bytes are anonymous pages, which are the first part. With a kernel in user space, they are pages
/// of a file in memory, which are the second part.
fn beyond_touched(metric: &'static str, parts: &[(&str, ByteSize)]) -> Vec<Reading> {
    let mut touched = TOUCHED.as_u64() as f64;
    let last = parts.len() - 1;
    let mut readings = Vec::new();
    for (index, (name, size)) in parts.iter().enumerate() {
        let whole = size.as_u64() as f64;
        let taken = if index == last {
            touched
        } else {
            touched.min(whole)
        };
        touched -= taken;
        readings.push(Reading::of_part(metric, name, whole - taken));
    }
    let total = readings.iter().map(|reading| reading.value).sum();
    readings.insert(0, Reading::total(metric, total));
    readings
}

#[cfg(test)]
mod tests {
    use isobench_reports::model::TOTAL;

    use super::*;

    #[test]
    fn touched_bytes_beyond_the_anonymous_part_are_subtracted_from_the_file_part() {
        let parts = [
            ("anon", ByteSize::mib(3)),
            ("file", ByteSize::mib(15)),
            ("kernel", ByteSize::mib(1)),
        ];
        let mib = 1024.0 * 1024.0;
        let values: Vec<_> = beyond_touched(CHARGE.name, &parts)
            .iter()
            .map(|reading| reading.value / mib)
            .collect();
        assert_eq!(values, [3.0, 0.0, 2.0, 1.0]);
    }

    #[test]
    fn touched_bytes_are_subtracted_from_the_anonymous_part() {
        let readings = beyond_touched(
            CHARGE.name,
            &[("anon", ByteSize::mib(17)), ("kernel", ByteSize::kib(4))],
        );
        let values: Vec<_> = readings
            .iter()
            .map(|r| (r.part.as_str(), r.value))
            .collect();
        let mib = 1024.0 * 1024.0;
        assert_eq!(
            values,
            [(TOTAL, mib + 4096.0), ("anon", mib), ("kernel", 4096.0)]
        );
    }
}
