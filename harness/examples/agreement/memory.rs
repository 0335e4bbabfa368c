//! Memory: the proportional set size of one idle instance beyond what it touches, by the experiment `memory`, by smem, and by
//! adding up the mappings of /proc/PID/smaps.

use std::fs;
use std::process::Command;

use anyhow::Context as _;
use isobench::instance::Stdin;
use isobench_reports::model::Unit;
use isobench_reports::schema::memory;
use nix::unistd::Pid;

use crate::own::Own;
use crate::rows::{self, Row};

/// What the experiment has its instance touch.
const TOUCHED: f64 = 16.0 * 1024.0 * 1024.0;

pub fn rows(own: &Own) -> [Row<'_>; 2] {
    let row = |tool: &str, package, look: fn(Pid) -> anyhow::Result<f64>| Row {
        figure: "memory (PSS) beyond what is touched",
        tool: tool.to_owned(),
        program: tool.into(),
        package,
        allowance: 0.05,
        unit: Unit::Bytes,
        keeps_processor: false,
        ours: Box::new(|| own.sample(memory::NAME, &["pss"])),
        theirs: Box::new(move || beyond_touched(own, look)),
    };
    [
        row("/proc by hand", "", by_hand),
        row("smem", "smem", by_smem),
    ]
}

/// What `look` sees of an instance like the experiment's.
fn beyond_touched(own: &Own, look: fn(Pid) -> anyhow::Result<f64>) -> anyhow::Result<Vec<f64>> {
    let mut instance = own.start(&["idle", "--touch", "16MiB"], Stdin::HeldOpen)?;
    instance.wait_until_ready()?;
    let seen = look(instance.pid())?;
    instance.close_stdin();
    instance.wait_until_exited()?;
    Ok(vec![seen - TOUCHED])
}

fn by_hand(pid: Pid) -> anyhow::Result<f64> {
    let mappings = fs::read_to_string(format!("/proc/{pid}/smaps"))?;
    let kibibytes = |line: &str| -> Option<f64> {
        let text = line.strip_prefix("Pss:")?.trim().strip_suffix("kB")?;
        text.trim().parse().ok()
    };
    Ok(mappings.lines().filter_map(kibibytes).sum::<f64>() * 1024.0)
}

fn by_smem(pid: Pid) -> anyhow::Result<f64> {
    let mut command = Command::new("smem");
    command.args(["-H", "-c", "pid pss"]);
    let said = rows::output_of(command)?;
    let pid = pid.to_string();
    let pss = |line: &str| -> Option<f64> {
        let mut columns = line.split_whitespace();
        (columns.next()? == pid).then(|| columns.next()?.parse().ok())?
    };
    let kibibytes = said.lines().find_map(pss);
    Ok(kibibytes.context("smem doesn't see the instance")? * 1024.0)
}
