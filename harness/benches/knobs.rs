//! What each knob of the Linux guest's start is worth: starts with the knob turned, beside starts as they are. It wants hardware
//! KVM and a guest kernel, which the lab has: `cargo xtask lab -- knobs --bench`, or `cargo bench --bench knobs` on such a host.
//!
//! The table in docs/guest.md comes from here.
#![expect(
    clippy::print_stdout,
    reason = "a benchmark's figures are for whoever watches it"
)]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use isobench::host::facts::{HostReport, Need};
use isobench::host::programs::Programs;
use isobench::suite::goal::noise_note;
use isobench::targets::guest::kernel::{self, Kernel};
use isobench_reports::statistics::Series;

/// Starts of each kind.
const ROUNDS: u32 = 15;

/// A start that differs from the usual one in one point.
struct Knob {
    name: &'static str,
    change: Change,
}

enum Change {
    /// None.
    Nothing,
    /// More words for the kernel: of words that contradict each other it takes the last.
    Words(&'static str),
    /// More options for the launcher.
    Options(&'static [&'static str]),
    /// The kernel that unpacks itself.
    Compressed,
}

const fn words(name: &'static str, words: &'static str) -> Knob {
    Knob {
        name,
        change: Change::Words(words),
    }
}

/// The usual start is the first.
const KNOBS: [Knob; 12] = [
    Knob {
        name: "as it is",
        change: Change::Nothing,
    },
    Knob {
        name: "bzImage instead of vmlinux",
        change: Change::Compressed,
    },
    words("loglevel=7: messages on the serial console", "loglevel=7"),
    words("four serial ports instead of one", "8250.nr_uarts=4"),
    words("PCI is looked for", "pci=conf1"),
    words("no console at all", "console="),
    words("mitigations=off", "mitigations=off"),
    words("rcupdate.rcu_expedited=1", "rcupdate.rcu_expedited=1"),
    words("noreplace-smp: no patching for one vCPU", "noreplace-smp"),
    words(
        "the seed of random numbers is not trusted",
        "random.trust_bootloader=off",
    ),
    Knob {
        name: "two vCPUs instead of one",
        change: Change::Options(&["--vcpus", "2"]),
    },
    Knob {
        name: "512 MiB of memory instead of 128",
        change: Change::Options(&["--memory", "512MiB"]),
    },
];

fn main() -> ExitCode {
    let is_asked = std::env::args().any(|argument| argument == "--bench");
    let mut filters = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    if !is_asked || filters.any(|filter| !"knobs".contains(filter.as_str())) {
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
    let host = HostReport::inspect(&programs);
    if let Some(obstacle) = host
        .lacks(Need::Kvm)
        .or_else(|| host.lacks(Need::GuestKernel))
    {
        println!("knobs: {}", obstacle.reason);
        return Ok(());
    }
    let start = Start {
        programs,
        kernel: kernel::locate(kernel::Architecture::X86_64)?,
    };
    let mut times = vec![Vec::new(); KNOBS.len()];
    for round in 0..ROUNDS {
        for place in 0..KNOBS.len() {
            // No knob follows the same other one in each round.
            let knob = (place * step(round) + round as usize) % KNOBS.len();
            let took = start.time(&KNOBS[knob])?;
            times[knob].push((round, took.as_secs_f64() * 1e3));
        }
    }
    let series: Vec<_> = times.into_iter().map(Series::new).collect();
    print(&series);
    Ok(())
}

/// A number that has no divisor in common with that of the knobs, so that its multiples reach each once.
fn step(round: u32) -> usize {
    [1, 5, 7, 11][round as usize % 4]
}

struct Start {
    programs: Programs,
    kernel: Kernel,
}

impl Start {
    /// From spawning the launcher until the workload's line is there.
    fn time(&self, knob: &Knob) -> anyhow::Result<Duration> {
        let mut command = Command::new(&self.programs.vmm);
        command.args(["run", "--guest", "linux", "--time-limit", "60", "--kernel"]);
        command.arg(self.image(knob)?);
        match knob.change {
            Change::Words(words) => command.args(["--append", words]),
            Change::Options(options) => command.args(options),
            Change::Nothing | Change::Compressed => &mut command,
        };
        command.arg("--").arg(&self.programs.workload).arg("ready");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::null());
        let begun = Instant::now();
        let mut child = command.spawn().context("cannot start the launcher")?;
        let output = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let took = begun.elapsed();
        let status = child.wait()?;
        if !line.ends_with("ready\n") {
            bail!("a start failed ({}): {status}, {line:?}", knob.name);
        }
        Ok(took)
    }

    fn image(&self, knob: &Knob) -> anyhow::Result<PathBuf> {
        let compressed = self.kernel.bzimage.clone();
        match knob.change {
            Change::Compressed => compressed.context("the kernel has no bzImage beside it"),
            _ => Ok(self.kernel.image.clone()),
        }
    }
}

fn print(series: &[Series]) {
    let usual = &series[0];
    println!(
        "{:<50} {:>9} {:>22}",
        "start until ready", "median", "difference, 95 %"
    );
    for (knob, times) in KNOBS.iter().zip(series) {
        let Some(median) = times.median() else {
            continue;
        };
        print!("{:<50} {median:>6.0} ms", knob.name);
        match (usual.median(), times.difference_interval(usual)) {
            (Some(base), Some(interval)) if !matches!(knob.change, Change::Nothing) => println!(
                " {:>+6.0} ms [{:+.0}, {:+.0}] {}",
                median - base,
                interval.low,
                interval.high,
                noise_note(interval).unwrap_or_default()
            ),
            _ => println!(),
        }
    }
}
