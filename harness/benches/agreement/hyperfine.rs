//! Start-up: the same program from spawn to end, by hyperfine and by the experiment `startup`.

use std::fs;
use std::process::Command;

use anyhow::Context as _;
use isobench::experiment::STARTUP;
use isobench_reports::model::Unit;

use crate::own::Own;
use crate::rows::{self, Row};

/// Starts in a turn.
const STARTS: usize = 25;

pub fn row(own: &Own) -> Row<'_> {
    Row {
        figure: "start-up, spawn to end",
        tool: "hyperfine",
        package: "hyperfine",
        allowance: 0.05,
        unit: Unit::Nanoseconds,
        ours: Box::new(|| (0..STARTS).map(|_| spawn_to_end(own)).collect()),
        theirs: Box::new(|| times(own)),
    }
}

fn spawn_to_end(own: &Own) -> anyhow::Result<f64> {
    Ok(own.sample(STARTUP, &["ready", "exit"])?.iter().sum())
}

fn times(own: &Own) -> anyhow::Result<Vec<f64>> {
    let directory = tempfile::tempdir()?;
    let json = directory.path().join("times.json");
    // No shell in between; and a pipe, as isobench has it: what is written to /dev/null wakes nobody up.
    let mut command = Command::new("hyperfine");
    command.args([
        "-N",
        "--output=pipe",
        "--style=none",
        "--warmup=2",
        "--runs",
    ]);
    command.arg(STARTS.to_string());
    command.arg("--export-json").arg(&json);
    command.arg(format!("{} ready", own.workload.display()));
    rows::output_of(command)?;
    let results: serde_json::Value = serde_json::from_slice(&fs::read(json)?)?;
    let times = results["results"][0]["times"].as_array();
    let times = times.context("hyperfine's JSON has no times")?.iter();
    let seconds = times.filter_map(serde_json::Value::as_f64);
    Ok(seconds.map(|seconds| seconds * 1e9).collect())
}
