//! The price list of a running program: what each operation costs in each target.
//!
//! Each case has a fresh instance. The workload finds out how many operations fit into a short
//! window. The host times these operations, from the byte that lets the workload begin until the
//! end line arrives. No figure depends on a guest's clock.

use std::time::Duration;

use isobench_reports::schema::{MetricSchema, cpu, disk};
use isobench_workloads::protocol::Message;
use isobench_workloads::run::{PriceOperation, SLEEP};

use super::disk::warm_page_cache;
use super::{
    Applicability, Case, DiskFile, Experiment, ExperimentInfo, MeasureContext, MeasureError,
    Measurement, Reading, ReadyTarget, Rounds, nanoseconds,
};
use crate::experiments::profile::{ByProfile, Profile};
use crate::instance::{Instance, InstanceError, Stdin, unexpected};
use crate::targets::{Capability, Marks, TargetInfo};

/// The metric of each operation.
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

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "The price of one operation in a running program; the program's start isn't \
    included. A fresh instance repeats the operation for some milliseconds. Beforehand, the \
    program \
    finds out by its own clock how many repetitions fit. The host takes the time, from the byte \
    that lets the program begin until its end line. Steps depend on each other; memory is 64 MiB \
    in \
    pages of 4 KiB; the system call is getppid. A context switch includes a write and a read, with \
    both threads on one processor. A page fault in a file maps the 16 pages around the address. An \
    exit is a port write, measured in the floor of KVM and in a Linux guest; in the microVM \
    without \
    a guest OS, each system call is an exit. A slow target gets fewer rounds.";

/// The experiment `cpu`.
#[derive(Debug)]
pub struct Cpu {
    info: ExperimentInfo,
    /// The operation of each case.
    operations: &'static [PriceOperation],
    /// How long an instance repeats its operation.
    window: Duration,
}

impl Cpu {
    /// The experiment with the window of `profile`.
    pub fn new(profile: Profile) -> Self {
        let rounds = ByProfile {
            quick: Rounds::new(0, 3),
            standard: Rounds::new(1, 15),
            thorough: Rounds::new(1, 50),
        };
        Self::of(PriceOperation::ALL, profile, rounds)
    }

    /// The prices by which a command's own costs are explained, in more rounds than a quick run
    /// has: a command makes thousands of calls, so the error of their price counts as often.
    pub fn to_explain() -> Self {
        const OPERATIONS: &[PriceOperation] =
            &[PriceOperation::SystemCall, PriceOperation::PageFault];
        let mut experiment = Self::of(
            OPERATIONS,
            Profile::Quick,
            ByProfile::same(Rounds::new(1, 20)),
        );
        experiment.info.time_per_target = Some(ByProfile::same(Duration::from_secs(3)));
        experiment
    }

    fn of(
        operations: &'static [PriceOperation],
        profile: Profile,
        rounds: ByProfile<Rounds>,
    ) -> Self {
        let milliseconds = match profile {
            Profile::Quick => 5,
            Profile::Standard => 20,
            Profile::Thorough => 50,
        };
        Self {
            info: ExperimentInfo {
                time_per_target: Some(ByProfile {
                    quick: Duration::from_millis(500),
                    standard: Duration::from_secs(4),
                    thorough: Duration::from_mins(1),
                }),
                disk_file: DiskFile::Used,
                ..ExperimentInfo::new(
                    cpu::NAME,
                    METHOD,
                    operations.iter().map(|operation| metric(*operation).into()),
                    operations
                        .iter()
                        .map(|operation| Case::of([metric(*operation)])),
                    rounds,
                )
            },
            operations,
            window: Duration::from_millis(milliseconds),
        }
    }
}

impl Experiment for Cpu {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn applicability(&self, case: usize, target: &TargetInfo) -> Applicability {
        let operation = self.operations[case];
        let runs_programs = target.can(Capability::RunPrograms);
        let reason = match operation {
            _ if target.can(Capability::KernelServices) => None,
            PriceOperation::PageFaultFile => Some("without a kernel the disk can't be mapped"),
            PriceOperation::Exit => Some("each system call is an exit: see system-call"),
            _ => None,
        };
        match (reason, operation) {
            (Some(reason), _) => Applicability::Impossible(reason.into()),
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
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let operation = self.operations[case];
        let window = self.window.as_millis().to_string();
        let mut arguments = vec![
            "--wait",
            "price",
            "--op",
            operation.name(),
            "--milliseconds",
            &window,
        ];
        let path = target.info.disk.path(context.disk);
        let path_text = path.to_string_lossy();
        let with_file = operation == PriceOperation::PageFaultFile;
        if with_file {
            arguments.extend(["--path", &path_text]);
            warm_page_cache(context.disk).map_err(InstanceError::Pipe)?;
        }
        let mut launch = context.launch(&arguments);
        launch.disk = with_file.then_some(context.disk);
        launch.marks = Marks::None;
        let (group, mut instance) = context.start(target, launch, Stdin::HeldOpen)?;
        let work = time_work(&mut instance)?;
        let ended = instance.wait_until_exited()?;
        if let Some(group) = group {
            group.remove(ended)?;
        }
        Ok(vec![work.reading(operation)?].into())
    }
}

/// The work of an instance, and the time that the work took.
#[derive(Debug)]
struct TimedWork {
    took: Duration,
    operations: u64,
    bytes: u64,
}

/// Lets the instance begin its work, and times the work until the end line.
fn time_work(instance: &mut Instance) -> Result<TimedWork, MeasureError> {
    let begun = instance.begin_work()?;
    let (operations, bytes, ended) = match instance.next_message("end line")? {
        (Message::End { operations, bytes }, at) if operations > 0 => (operations, bytes, at),
        (other, _) => return Err(unexpected(&other, "end line").into()),
    };
    let took = ended.since(begun).filter(|took| !took.is_zero());
    Ok(TimedWork {
        took: took.ok_or(MeasureError::Untimed)?,
        operations,
        bytes: bytes.as_u64(),
    })
}

impl TimedWork {
    /// The price of one operation.
    fn reading(&self, operation: PriceOperation) -> Result<Reading, MeasureError> {
        let each = nanoseconds(self.took) / self.operations as f64;
        let value = match operation {
            PriceOperation::MemoryRead => self.bytes as f64 / self.took.as_secs_f64(),
            PriceOperation::Timer => each - nanoseconds(SLEEP),
            _ => each,
        };
        // A sleep may have ended too early, and a workload may claim that it moved no bytes.
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

    fn time_script(lines: &str) -> Result<TimedWork, MeasureError> {
        let interrupt = Interrupt::never().unwrap();
        let command = CommandLine::new("/bin/sh").args(["-c", lines]);
        let limit = Duration::from_secs(20);
        let mut instance = Instance::start(&command, Stdin::HeldOpen, limit, &interrupt).unwrap();
        time_work(&mut instance)
    }

    #[test]
    fn a_price_is_the_time_divided_by_the_operations() {
        let work = TimedWork {
            took: Duration::from_millis(1),
            operations: 10,
            bytes: 5000,
        };
        let value = |operation| work.reading(operation).unwrap().value;
        assert!((value(PriceOperation::Integer) - 100_000.0).abs() < 1e-6);
        assert!((value(PriceOperation::Timer) - 50_000.0).abs() < 1e-6);
        assert!((value(PriceOperation::MemoryRead) - 5e6).abs() < 1e-3);
    }

    #[test]
    fn a_sleep_that_ends_too_early_gives_no_figure() {
        let work = TimedWork {
            took: Duration::from_micros(49),
            operations: 1,
            bytes: 0,
        };
        let error = work.reading(PriceOperation::Timer).unwrap_err();
        assert!(matches!(error, MeasureError::Untimed), "{error}");
    }

    #[test]
    fn work_is_timed_from_the_begin_line_to_the_end_line() {
        let lines = "echo isobench/1 begin; read line; sleep 0.02; \
                     echo isobench/1 end operations=2 bytes=0";
        let work = time_script(lines).unwrap();
        assert_eq!(work.operations, 2);
        assert!(work.took >= Duration::from_millis(15));
    }

    #[test]
    fn work_without_an_operation_is_an_error() {
        let lines = "echo isobench/1 begin; read line; echo isobench/1 end operations=0 bytes=0";
        let result = time_script(lines);
        assert!(matches!(result, Err(MeasureError::Instance(_))));
    }

    #[test]
    fn each_target_has_the_cases_that_it_can_do() {
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
        let measured = |name: &str| -> Vec<&str> {
            let mut infos = targets.iter().map(|target| target.info());
            let target = infos.find(|info| info.name == name).unwrap();
            let cases = PriceOperation::ALL.iter().enumerate();
            let cases = cases.filter(|(case, _)| {
                target.takes_part_in(cpu::NAME)
                    && cpu.applicability(*case, target) == Applicability::Measured
            });
            cases.map(|(_, operation)| operation.name()).collect()
        };
        assert_eq!(measured("process").len(), 10);
        assert_eq!(measured("container").len(), 10);
        assert_eq!(measured("microvm-linux").len(), 11);
        assert_eq!(measured("microvm-bare").len(), 9);
        assert_eq!(measured("floor-kvm"), ["exit"]);
        assert!(measured("floor-namespaces").is_empty());
    }
}
