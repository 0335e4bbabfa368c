//! The rows of the table: a figure of isobench's, and the same one by another tool.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use isobench_reports::model::Unit;
use isobench_reports::statistics::Series;
use isobench_reports::units::value;

use crate::own::Own;
use crate::{fio, hyperfine, memory, perf};

/// Gives the values of one turn.
pub type Turn<'r> = Box<dyn Fn() -> anyhow::Result<Vec<f64>> + 'r>;

/// A figure and who takes it.
pub struct Row<'r> {
    /// What is measured.
    pub figure: &'static str,
    /// The other tool, for a reader.
    pub tool: String,
    /// The tool's program, if it is one.
    pub program: PathBuf,
    /// Debian's package of the tool; empty for what needs none.
    pub package: &'static str,
    /// How far apart they may be, as a part.
    pub allowance: f64,
    /// The unit of the values.
    pub unit: Unit,
    /// Whether what it takes depends on the processor: both sides are then kept to the same one, another each round.
    pub keeps_processor: bool,
    /// isobench's turn.
    pub ours: Turn<'r>,
    /// The tool's turn.
    pub theirs: Turn<'r>,
}

impl Row<'_> {
    pub fn name(&self) -> String {
        format!("{}, {}", self.figure, self.tool)
    }

    /// What has to be installed first, if something has.
    pub fn missing(&self) -> Option<String> {
        if self.package.is_empty() || runs(&self.program) {
            return None;
        }
        Some(format!(
            "{} is not installed (apt-get install {})",
            self.tool, self.package
        ))
    }

    /// A side's median with its unit.
    pub fn shown(&self, series: &Series) -> String {
        value(self.unit, series.median().unwrap_or(f64::NAN))
    }
}

/// Whether there is such a program; not each of them has a version to tell.
fn runs(program: &Path) -> bool {
    let mut version = Command::new(program);
    version.arg("--version").stdin(Stdio::null());
    version.stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok()
}

/// Every row. `hyperfines` are the hyperfines to compare with.
pub fn all<'r>(own: &'r Own, hyperfines: &[PathBuf]) -> Vec<Row<'r>> {
    let mut rows = hyperfine::rows(own, hyperfines);
    rows.extend(fio::rows(own));
    rows.push(perf::row(own));
    rows.extend(memory::rows(own));
    rows
}

/// What `command` says, if it ends well.
pub fn output_of(mut command: Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot run {command:?}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        errors.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
