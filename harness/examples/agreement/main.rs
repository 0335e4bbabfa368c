//! Whether isobench's figures are those of tools that people trust: start-up beside hyperfine, the disk beside fio, system
//! calls beside `perf bench`, memory beside smem and a sum over /proc by hand. All of the bare process, on this host, in
//! turns, so that both see the same drift.
//!
//! `scripts/agreement [--rounds N] [--hyperfine PROGRAM]`. A tool that isn't installed is a row that says so. The exit code is 1 only if a whole
//! interval lies outside of its allowance: a busy host widens intervals, and so decides nothing.
//!
//! An example and no benchmark: cargo builds benchmarks with unwinding, and so all that they use a second time.
#![expect(
    clippy::print_stdout,
    reason = "a comparison's figures are for whoever watches it"
)]

mod fio;
mod hyperfine;
mod memory;
mod own;
mod perf;
mod processor;
mod rows;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser as _;
use isobench_reports::statistics::{Interval, Series};

use own::Own;
use processor::Kept;
use rows::Row;

/// Fewest turns from which an interval promises anything.
const FEWEST_ROUNDS: i64 = 6;

/// Holds isobench's figures of the bare process against those of other tools.
#[derive(clap::Parser)]
struct Arguments {
    /// Turns of each tool.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(FEWEST_ROUNDS..))]
    rounds: u32,
    /// A hyperfine to compare with, beside the one on the PATH; may be repeated.
    #[arg(long, value_name = "PROGRAM")]
    hyperfine: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match compare(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => isobench::commands::failure::report(&error),
    }
}

fn compare(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let own = Own::assemble()?;
    let on_path = PathBuf::from("hyperfine");
    let hyperfines: Vec<_> = [on_path]
        .into_iter()
        .chain(arguments.hyperfine.clone())
        .collect();
    println!(
        "{:<52} {:>9} {:>16}  {:<8} ours, theirs",
        "figure of the bare process, and the tool", "ratio", "95 % interval", "allowed"
    );
    println!("{}", hyperfine::windows(&own)?);
    let mut disagrees = false;
    for row in rows::all(&own, &hyperfines) {
        disagrees |= take_turns(&row, arguments.rounds)?;
    }
    Ok(ExitCode::from(u8::from(disagrees)))
}

/// Takes both sides' figures in turns and prints their row; whether they disagree.
fn take_turns(row: &Row<'_>, rounds: u32) -> anyhow::Result<bool> {
    if let Some(missing) = row.missing() {
        println!("{:<52} not compared: {missing}", row.name());
        return Ok(false);
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let _kept = row
            .keeps_processor
            .then(|| Kept::of_round(round))
            .transpose()?;
        // Whoever comes first finds other caches: that is shared out.
        for own_turn in [round % 2 == 0, round % 2 == 1] {
            let (side, taken) = if own_turn {
                (&mut ours, (row.ours)())
            } else {
                (&mut theirs, (row.theirs)())
            };
            let values = taken.with_context(|| row.name())?;
            side.extend(values.into_iter().map(|value| (round, value)));
        }
    }
    let (ours, theirs) = (Series::new(ours), Series::new(theirs));
    let (Some(ratio), Some(interval)) = (ours.ratio(&theirs), ours.ratio_interval(&theirs)) else {
        anyhow::bail!("{}: one side gave no figure", row.name());
    };
    let verdict = Verdict::of(interval, row.allowance);
    let [low, high] = [interval.low, interval.high].map(|value| format!("{value:.3}"));
    println!(
        "{:<52} {ratio:>9.3} {:>16}  ±{:<7} {}, {}: {}",
        row.name(),
        format!("[{low}, {high}]"),
        format!("{:.0} %", row.allowance * 100.0),
        row.shown(&ours),
        row.shown(&theirs),
        verdict.name()
    );
    Ok(verdict == Verdict::Disagree)
}

/// What an interval says of an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It lies within.
    Agree,
    /// It reaches beyond.
    Undecided,
    /// All of it is beyond.
    Disagree,
}

impl Verdict {
    fn of(interval: Interval, allowance: f64) -> Self {
        let (least, most) = (1.0 - allowance, 1.0 + allowance);
        if interval.low >= least && interval.high <= most {
            Self::Agree
        } else if interval.high < least || interval.low > most {
            Self::Disagree
        } else {
            Self::Undecided
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Undecided => "undecided",
            Self::Disagree => "DISAGREE",
        }
    }
}
