//! Memory: what one idle instance costs beyond the memory that its program touches.
//!
//! Two views of the same instance, because each misses something. The *charge* is what the kernel accounts to the
//! instance's cgroup, its own memory for the instance included. *PSS* is what its processes map, with pages shared
//! between processes split among them; it can be had without a cgroup, and knows nothing of the kernel's part.

use bytesize::ByteSize;
use isobench_reports::schema::memory::{CHARGE, NAME, PSS};
use procfs::ProcError;

use super::{
    Bench, Case, Experiment, ExperimentInfo, MeasureError, Measured, MetricInfo, Parts, Reading,
    Rounds, Subject,
};
use crate::experiments::profile::ByProfile;
use crate::host::probe::pss::Pss;
use crate::instance::Stdin;

/// What the workload touches: enough that a target which doubles it shows.
const TOUCHED: ByteSize = ByteSize::mib(16);

/// The parts of memory, each with its explanation.
const ANON: (&str, &str) = (
    "anon",
    "anonymous pages: heaps, stacks, guest RAM, beyond the 16 MiB that the program touches",
);
const FILE: (&str, &str) = ("file", "pages of files, tmpfs included");
const KERNEL: (&str, &str) = (
    "kernel",
    "the kernel's own: page tables, stacks, namespaces, virtual CPUs",
);

/// How the figures are measured, for a report's reader.
const METHOD: &str = "One instance of a program that touches 16 MiB and then blocks, looked at once it says that it is ready; \
    the 16 MiB are subtracted. `charge` is the kernel's account of the instance's cgroup: anonymous pages, \
    file pages and kernel memory, launcher included. `pss` is the proportional set size summed over its \
    processes, which leaves kernel memory out. The programs' own files are in the page cache beforehand.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Memory {
    info: ExperimentInfo,
}

impl Memory {
    /// The experiment, described.
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
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let touched = TOUCHED.as_u64().to_string();
        let launch = bench.launch(&["idle", "--touch", &touched]);
        let (group, mut instance) = bench.start(subject, launch, Stdin::HeldOpen)?;
        if let Some(group) = &group {
            // Nothing is timed here, so the harness leaves at once and charges nothing of its own.
            group.leave()?;
        }
        instance.wait_until_ready()?;

        let mut measured = Measured::default();
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
            Err(error) => measured.missing.push((PSS.name, why_no_pss(&error))),
        }

        let ended = subject.end_idle(vec![instance])?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(measured)
    }
}

/// A container's first process lets no ordinary user look into it.
fn why_no_pss(error: &ProcError) -> String {
    match error {
        ProcError::PermissionDenied(_) => {
            "this user may not look at all processes of the instance: run as root".to_owned()
        }
        other => format!("cannot read the memory of the instance's processes: {other}"),
    }
}

/// The parts without the bytes that the program itself touched, and their sum. Those bytes are anonymous, the first of
/// the parts; of a file in memory, the second, where a kernel in user space hands them out.
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
    fn touched_bytes_that_are_a_file_s_are_taken_from_there() {
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
    fn the_touched_bytes_are_taken_from_the_anonymous_part() {
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
