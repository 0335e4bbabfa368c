//! System calls: getppid(2) over and over, by `perf bench` and by the experiment `cpu`.

use std::process::Command;

use anyhow::Context as _;
use isobench_reports::model::Unit;
use isobench_reports::schema::cpu;

use crate::own::Own;
use crate::rows::{self, Row};

/// Samples in a turn of isobench's, each of some 20 ms.
const SAMPLES: u32 = 5;
/// Calls in a turn of perf's: some tenths of a second.
const CALLS: u64 = 2_000_000;

pub fn row(own: &Own) -> Row<'_> {
    Row {
        figure: "system call",
        tool: "perf bench".to_owned(),
        program: "perf".into(),
        package: "linux-perf",
        allowance: 0.10,
        unit: Unit::Nanoseconds,
        keeps_processor: false,
        ours: Box::new(|| {
            let samples = (0..SAMPLES).map(|_| own.sample(cpu::NAME, &["system-call"]));
            Ok(samples.collect::<anyhow::Result<Vec<_>>>()?.concat())
        }),
        theirs: Box::new(|| {
            let mut command = Command::new("perf");
            command.args(["bench", "syscall", "basic", "--loop"]);
            command.arg(CALLS.to_string());
            microseconds_a_call(&rows::output_of(command)?)
                .map(|microseconds| vec![microseconds * 1000.0])
                .context("perf says no usecs/op")
        }),
    }
}

fn microseconds_a_call(output: &str) -> Option<f64> {
    let mut lines = output.lines();
    lines.find_map(|line| line.trim().strip_suffix("usecs/op")?.trim().parse().ok())
}
