//! The goals of the Linux guest, against QEMU with the same kernel and the same files. They want hardware KVM, a guest kernel
//! and QEMU, all of which the lab has: `cargo xtask lab -- machines --bench`, or `cargo bench --bench machines` on such a host.
//!
//! Printed, not asserted, as all goals are.
#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytesize::ByteSize;
use isobench::experiments::profile::Profile;
use isobench::experiments::{self, Experiment};
use isobench::host::facts::HostReport;
use isobench::host::interrupt::Interrupt;
use isobench::host::programs::Programs;
use isobench::suite::goal::{Bound, Goal};
use isobench::suite::progress::Progress;
use isobench::suite::runner::Runner;
use isobench::suite::stop::StopOptions;
use isobench::suite::testbed::{Candidate, Testbed};
use isobench::targets::guest::kernel;
use isobench::targets::{self, Daemons};
use isobench_reports::model::{Sample, Status, TOTAL};
use isobench_reports::schema::{disk, startup};
use isobench_reports::statistics::Series;
use procfs::process::{MemoryMap, Process};

const TARGET: &str = "microvm-linux";
const PEER: &str = "qemu-microvm";

/// For all samples: an emulated processor takes a second or two for each.
const TIME: Duration = Duration::from_mins(6);

/// Memory of the idle guest.
const MEMORY: ByteSize = ByteSize::mib(128);
/// What its mapping has more, so that it can begin at a huge page.
const SKIPPED: ByteSize = ByteSize::mib(2);

/// What the VMM does before it enters the guest's kernel.
const OWN_PHASES: [&str; 6] = ["start", "open-kvm", "create-vm", "memory", "vcpu", "load"];

const GOALS: [Goal; 4] = [
    against_qemu(startup::NAME, &["ready"], Bound::AtMost(1.0 / 1.3)),
    against_qemu(startup::NAME, &["ready-ordinary"], Bound::AtMost(1.0 / 1.3)),
    against_qemu(disk::NAME, &["seq-read-direct"], Bound::AtLeast(0.9)),
    against_qemu(disk::NAME, &["seq-read-cached"], Bound::AtLeast(0.9)),
];

const fn against_qemu(
    experiment: &'static str,
    metrics: &'static [&'static str],
    bound: Bound,
) -> Goal {
    Goal {
        experiment,
        metrics,
        target: TARGET,
        baseline: PEER,
        bound,
    }
}

fn main() -> ExitCode {
    let is_asked = std::env::args().any(|argument| argument == "--bench");
    let mut filters = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    if !is_asked || filters.any(|filter| !"machines".contains(filter.as_str())) {
        return ExitCode::SUCCESS;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => isobench::commands::failure::report(&error),
    }
}

fn measure() -> anyhow::Result<()> {
    let isobench = Path::new(env!("CARGO_BIN_EXE_isobench"));
    let programs = Programs::in_directory(isobench.parent().unwrap_or(Path::new(".")))?;
    let interrupt = Interrupt::install()?;
    let host = HostReport::inspect(&programs);
    let profile = Profile::Quick;
    let compared = [TARGET, PEER].map(str::to_owned);
    let testbed = Testbed::assemble(
        &Candidate::inspect(
            targets::choose(
                targets::all(&programs, Daemons::UseRunning),
                Some(&compared),
            )?,
            &host,
        ),
        &programs,
        experiments::disk_size(profile),
    )?;
    for target in &testbed.unavailable {
        println!("{}: {}", target.info.name, target.reason.reason);
    }
    let mut experiments: Vec<Box<dyn Experiment>> = experiments::all(profile);
    experiments
        .retain(|experiment| [startup::NAME, disk::NAME].contains(&&*experiment.info().name));
    let runner = Runner {
        experiments: &experiments,
        targets: &testbed.targets,
        unavailable: &testbed.unavailable,
        profile,
        seed: 0,
        stop_options: StopOptions {
            time: Some(TIME),
            ..StopOptions::default()
        },
    };
    let taken = runner.run(
        &testbed.context(&interrupt),
        Progress::silent(),
        &mut |_| {},
    );
    println!("goal                                                     measured");
    for goal in &GOALS {
        println!("{}", goal.result_line(&taken.samples));
    }
    print_medians(&taken.samples);
    print_own_part(&taken.samples);
    if testbed.targets.iter().any(|s| s.info.name == TARGET) {
        print_overhead(&programs)?;
    }
    Ok(())
}

/// The whole starts, for scale.
fn print_medians(samples: &[Sample]) {
    for target in [TARGET, PEER] {
        let series = isobench::suite::goal::series(samples, startup::NAME, &["ready"], target);
        if let Some(median) = series.median() {
            let name = format!("{target}: ready, median");
            println!("{name:<56} {:.1} ms", median / 1e6);
        }
    }
}

/// The VMM's own phases as a part of the whole start.
fn print_own_part(samples: &[Sample]) {
    let of_target = samples.iter().filter(|sample| {
        sample.target == TARGET && sample.metric == "ready" && sample.status == Status::Ok
    });
    let rows: Vec<&Sample> = of_target.collect();
    let parts = rows
        .chunk_by(|left, right| left.sequence == right.sequence)
        .filter_map(|rows| {
            let value = |part: &str| rows.iter().find(|row| row.part == part)?.value;
            let own = OWN_PHASES.map(value).into_iter().sum::<Option<f64>>()?;
            Some((rows[0].round, own / value(TOTAL)?))
        });
    let measured = Series::new(parts)
        .median()
        .map_or("not measured on this host".to_owned(), |part| {
            format!("{:.1} %", part * 100.0)
        });
    let goal = format!("{TARGET}: before kernel entry, under 10 % of ready");
    println!("{goal:<56} {measured}");
}

/// An idle guest, killed when it goes out of scope.
struct Idle(Child);

impl Drop for Idle {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The memory of the VMM of an idle guest, without that of the guest.
fn print_overhead(programs: &Programs) -> anyhow::Result<()> {
    let kernel = kernel::locate(kernel::Architecture::X86_64)?;
    let mut idle = Idle(
        Command::new(&programs.vmm)
            .args(["run", "--guest", "linux", "--kernel"])
            .arg(&kernel.image)
            .args(["--memory", &format!("{}B", MEMORY.as_u64())])
            .arg("--")
            .arg(&programs.workload)
            .args(["idle", "--touch", "1MiB"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the launcher")?,
    );
    let mut line = String::new();
    let output = idle.0.stdout.take().context("no output")?;
    BufReader::new(output).read_line(&mut line)?;
    let maps = Process::new(idle.0.id().try_into()?)?.smaps()?;
    let guest = guest_memory(&maps.0)?;
    let own = maps.iter().filter(|map| !guest.contains(&map.address.0));
    let own = own.filter_map(|map| map.extension.map.get("Pss")).sum();
    let goal = format!("{TARGET}: the VMM's own memory, under 3 MiB");
    println!("{goal:<56} {}", ByteSize(own));
    Ok(())
}

/// Where the guest's memory lies in the VMM: it's the one mapping that is as large.
fn guest_memory(maps: &[MemoryMap]) -> anyhow::Result<Range<u64>> {
    let mut ranges = maps.iter().map(|map| map.address.0..map.address.1);
    let length = |range: &Range<u64>| range.end - range.start;
    let guest = ranges.find(|range| length(range) >= MEMORY.as_u64());
    let guest = guest.context("the launcher has no mapping of the guest's size")?;
    // Not all kernels have names for anonymous memory, and without one what lies beside it could be one mapping with it.
    let more = ByteSize(length(&guest) - MEMORY.as_u64());
    ensure!(
        more <= SKIPPED,
        "{more} of other memory are one mapping with the guest's"
    );
    Ok(guest)
}
