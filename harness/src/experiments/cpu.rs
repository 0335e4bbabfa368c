//! The price list of running: what a program pays for each operation, wherever it runs.
//!
//! One fresh instance a case. The workload finds out how many operations fit into a short window, and the host times
//! them from the byte that has the workload begin to the arrival of its end line; no guest's clock is in any figure.

use std::time::Duration;

use isobench_reports::schema::{MetricSchema, cpu, disk};
use isobench_workloads::protocol::Message;
use isobench_workloads::run::{PriceOperation, SLEEP};

use super::disk::warm_page_cache;
use super::{
    Applicability, Bench, Case, DiskFile, Experiment, ExperimentInfo, MeasureError, Measured,
    MetricInfo, Reading, Rounds, Subject, nanoseconds,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::instance::{Instance, InstanceError, Stdin, unexpected};
use crate::targets::{Capability, Marks, TargetInfo};

/// The figure of each operation.
const fn metric(operation: PriceOperation) -> MetricSchema {
    match operation {
        PriceOperation::Integer => cpu::INTEGER,
        PriceOperation::Float => cpu::FLOAT,
        PriceOperation::MemoryRead => cpu::MEMORY_READ,
        PriceOperation::RandomAccess => cpu::RANDOM_ACCESS,
        PriceOperation::SystemCall => cpu::SYSTEM_CALL,
        PriceOperation::PageFault => cpu::PAGE_FAULT,
        PriceOperation::PageFaultFile => cpu::PAGE_FAULT_FILE,
        PriceOperation::ContextSwitch => cpu::CONTEXT_SWITCH,
        PriceOperation::Clock => cpu::CLOCK,
        PriceOperation::Timer => cpu::TIMER,
        PriceOperation::Exit => cpu::EXIT,
    }
}

/// How the figures are measured, for a report's reader.
const METHOD: &str = "What one operation costs a running program, its start left aside. A fresh instance does it over and over for some \
    milliseconds; how often is found beforehand, by the program's own clock, and the time is taken on the host, from \
    the byte that has it begin to its end line. Steps depend on each other; memory is 64 MiB in pages of 4 KiB; the system call is \
    getppid. A context switch has a write and a read in it, and both threads are on one processor. A page fault of a \
    file maps the 16 pages around it. An exit is a port write, priced by the floor of KVM and in a Linux guest; in the \
    microVM without one each system call is an exit. A target that is slow gets fewer rounds.";

/// See the module's documentation.
#[derive(Debug)]
pub struct Cpu {
    info: ExperimentInfo,
    window: Duration,
}

impl Cpu {
    /// With the window of `profile`.
    pub fn new(profile: Profile) -> Self {
        let milliseconds = match profile {
            Profile::Quick => 5,
            Profile::Standard => 20,
            Profile::Thorough => 50,
        };
        Self {
            info: ExperimentInfo {
                patience: Some(ByProfile {
                    quick: Duration::from_millis(500),
                    standard: Duration::from_secs(4),
                    thorough: Duration::from_mins(1),
                }),
                disk_file: DiskFile::Used,
                ..ExperimentInfo::new(
                    cpu::NAME,
                    METHOD,
                    cpu::METRICS.map(MetricInfo::from),
                    PriceOperation::ALL
                        .iter()
                        .map(|operation| Case::of([metric(*operation)])),
                    ByProfile {
                        quick: Rounds::new(0, 3),
                        standard: Rounds::new(1, 15),
                        thorough: Rounds::new(1, 50),
                    },
                )
            },
            window: Duration::from_millis(milliseconds),
        }
    }
}

impl Experiment for Cpu {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        let operation = PriceOperation::ALL[case];
        let runs_programs = target.can(Capability::RunPrograms);
        let reason = match operation {
            _ if target.can(Capability::KernelServices) => None,
            PriceOperation::ContextSwitch => Some("without a kernel there is one thread"),
            PriceOperation::PageFaultFile => Some("without a kernel the disk can't be mapped"),
            PriceOperation::Exit => Some("each of its system calls is an exit: see system-call"),
            _ => None,
        };
        match (reason, operation) {
            (Some(reason), _) => Applicability::Impossible(reason),
            (None, PriceOperation::Exit) => {
                Applicability::measured_if(target.can(Capability::ExitOnPurpose))
            }
            (None, PriceOperation::PageFaultFile) => {
                Applicability::measured_if(runs_programs && target.takes_part_in(disk::NAME))
            }
            _ => Applicability::measured_if(runs_programs),
        }
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let operation = PriceOperation::ALL[case];
        let window = self.window.as_millis().to_string();
        let mut arguments = vec![
            "--wait",
            "price",
            "--op",
            operation.name(),
            "--milliseconds",
            &window,
        ];
        let path = subject.info.disk.path(bench.disk);
        let path_text = path.to_string_lossy();
        let with_file = operation == PriceOperation::PageFaultFile;
        if with_file {
            arguments.extend(["--path", &path_text]);
            warm_page_cache(bench.disk).map_err(InstanceError::Pipe)?;
        }
        let mut launch = bench.launch(&arguments);
        launch.disk = with_file.then_some(bench.disk);
        launch.marks = Marks::None;
        let (group, mut instance) = bench.start(subject, launch, Stdin::HeldOpen)?;
        let outcome = listen(&mut instance)?;
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(vec![outcome.reading(operation)?].into())
    }
}

/// What the workload has done, and how long it took.
#[derive(Debug)]
struct Outcome {
    took: Duration,
    operations: u64,
    bytes: u64,
}

fn listen(instance: &mut Instance) -> Result<Outcome, MeasureError> {
    let begun = instance.begin_work()?;
    let (operations, bytes, ended) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, at) if operations > 0 => (operations, bytes, at),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let took = ended.since(begun).filter(|took| !took.is_zero());
    Ok(Outcome {
        took: took.ok_or(MeasureError::Untimed)?,
        operations,
        bytes: bytes.as_u64(),
    })
}

impl Outcome {
    fn reading(&self, operation: PriceOperation) -> Result<Reading, MeasureError> {
        let each = nanoseconds(self.took) / self.operations as f64;
        let value = match operation {
            PriceOperation::MemoryRead => self.bytes as f64 / self.took.as_secs_f64(),
            PriceOperation::Timer => each - nanoseconds(SLEEP),
            _ => each,
        };
        // A sleep that ends before its time, and a workload that claims to have moved nothing.
        if value <= 0.0 {
            return Err(MeasureError::Untimed);
        }
        Ok(Reading::total(metric(operation).name, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::interrupt::Interrupt;
    use crate::host::programs::Programs;
    use crate::instance::command_line::CommandLine;
    use crate::targets::{self, Daemons};

    fn heard(lines: &str) -> Result<Outcome, MeasureError> {
        let interrupt = Interrupt::never().unwrap();
        let command = CommandLine::new("/bin/sh").args(["-c", lines]);
        let limit = Duration::from_secs(20);
        let mut instance = Instance::start(&command, Stdin::HeldOpen, limit, &interrupt).unwrap();
        listen(&mut instance)
    }

    #[test]
    fn a_price_is_the_time_over_the_operations() {
        let outcome = Outcome {
            took: Duration::from_millis(1),
            operations: 10,
            bytes: 5000,
        };
        let value = |operation| outcome.reading(operation).unwrap().value;
        assert!((value(PriceOperation::Integer) - 100_000.0).abs() < 1e-6);
        assert!((value(PriceOperation::Timer) - 50_000.0).abs() < 1e-6);
        assert!((value(PriceOperation::MemoryRead) - 5e6).abs() < 1e-3);
    }

    #[test]
    fn a_sleep_that_ends_too_early_is_no_figure() {
        let outcome = Outcome {
            took: Duration::from_micros(49),
            operations: 1,
            bytes: 0,
        };
        let error = outcome.reading(PriceOperation::Timer).unwrap_err();
        assert!(matches!(error, MeasureError::Untimed), "{error}");
    }

    #[test]
    fn work_is_timed_from_line_to_line() {
        let lines = "echo isobench/1 begin; read line; sleep 0.02; echo isobench/1 end operations=2 bytes=0";
        let outcome = heard(lines).unwrap();
        assert_eq!(outcome.operations, 2);
        assert!(outcome.took >= Duration::from_millis(15));
        let none = "echo isobench/1 begin; read line; echo isobench/1 end operations=0 bytes=0";
        assert!(matches!(heard(none), Err(MeasureError::Instance(_))));
    }

    #[test]
    fn what_a_target_cannot_do_has_a_reason_or_no_case() {
        let nowhere = || "/nowhere".into();
        let programs = Programs {
            workload: nowhere(),
            container: nowhere(),
            vmm: nowhere(),
            floor: nowhere(),
            tracer: nowhere(),
        };
        let targets = targets::all(&programs, Daemons::UseRunning);
        let cpu = Cpu::new(Profile::Quick);
        let asked = |name: &str| -> Vec<&str> {
            let mut infos = targets.iter().map(|target| target.info());
            let target = infos.find(|info| info.name == name).unwrap();
            let cases = PriceOperation::ALL.iter().enumerate();
            let asked = cases.filter(|(case, _)| {
                target.takes_part_in(cpu::NAME)
                    && cpu.applicability(*case, target) == Applicability::Measured
            });
            asked.map(|(_, operation)| operation.name()).collect()
        };
        assert_eq!(asked("process").len(), 10);
        assert_eq!(asked("container").len(), 10);
        assert_eq!(asked("microvm-linux").len(), 11);
        assert_eq!(asked("microvm-bare").len(), 8);
        assert_eq!(asked("floor-kvm"), ["exit"]);
        assert!(asked("floor-namespaces").is_empty());
    }
}
