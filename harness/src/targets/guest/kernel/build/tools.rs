//! Runs the build's tools. Their output goes to a log, and their progress to the terminal.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::{Architecture, KernelError};
use crate::host::interrupt::Interrupt;
use crate::streams::{can_redraw, tell};

/// The time between two looks at a tool.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The time between two lines about the progress, if standard error is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(20);

/// Where the progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    /// A progress bar on a terminal.
    Bar,
    /// Lines of text.
    Lines,
}

/// How a tool ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ToolResult {
    Success,
    Failure,
}

/// Runs one tool after the other.
pub struct Tools<'a> {
    architecture: Architecture,
    log: PathBuf,
    interrupt: &'a Interrupt,
    display: Display,
}

impl<'a> Tools<'a> {
    pub fn new(architecture: Architecture, log: PathBuf, interrupt: &'a Interrupt) -> Self {
        let display = if can_redraw() {
            Display::Bar
        } else {
            Display::Lines
        };
        Self {
            architecture,
            log,
            interrupt,
            display,
        }
    }

    /// Runs a tool. `set_up` appends the tool and its arguments to the arguments of `setpriv`,
    /// which has the kernel end the tool together with this process.
    pub fn run(
        &mut self,
        what: &str,
        set_up: impl FnOnce(&mut Command),
    ) -> Result<(), KernelError> {
        self.run_counted(what, None, set_up)
    }

    /// Compiles the kernel. make continues a compilation that was stopped before.
    pub fn compile(&mut self, tree: &Path, objects: &Path) -> Result<(), KernelError> {
        let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let architecture = self.architecture;
        let lines = architecture.expected_lines();
        self.run_counted("compiling", Some(lines), |command| {
            // With these variables, the same source gives the same bytes.
            for (name, value) in [
                ("TIMESTAMP", "1970-01-01"),
                ("USER", "isobench"),
                ("HOST", "isobench"),
            ] {
                command.env(format!("KBUILD_BUILD_{name}"), value);
            }
            make(command, architecture, tree, objects)
                .arg(format!("-j{jobs}"))
                .args(architecture.goals());
        })
    }

    /// Runs a tool whose output has about `expected_lines` lines.
    fn run_counted(
        &mut self,
        what: &str,
        expected_lines: Option<u64>,
        set_up: impl FnOnce(&mut Command),
    ) -> Result<(), KernelError> {
        let (log, mut new_lines) = self.open_log().map_err(KernelError::cache(&self.log))?;
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "TERM", "--"])
            .env("LC_ALL", "C")
            .env_remove("MAKEFLAGS")
            .stdin(Stdio::null());
        set_up(&mut command);
        let errors = log.try_clone().map_err(KernelError::cache(&self.log))?;
        let failed = |what: String| KernelError::Failed {
            what,
            log: self.log.clone(),
        };
        let child = command.stdout(log).stderr(errors).spawn();
        let child = child.map_err(|error| failed(format!("{what}: {error}")))?;
        let mut meter = ProgressMeter::new(what, expected_lines, self.display);
        let result = self.watch(child, &mut new_lines, &mut meter);
        meter.bar.finish_and_clear();
        match result? {
            ToolResult::Success => Ok(()),
            ToolResult::Failure => Err(failed(what.to_owned())),
        }
    }

    /// Opens the log twice: to append to, and to read what is appended from now on.
    fn open_log(&self) -> io::Result<(File, File)> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)?;
        let mut reader = File::open(&self.log)?;
        reader.seek(SeekFrom::End(0))?;
        Ok((log, reader))
    }

    /// Waits for the end of `child`, and meanwhile counts the lines that are added to the log.
    fn watch(
        &self,
        mut child: Child,
        new_lines: &mut File,
        meter: &mut ProgressMeter,
    ) -> Result<ToolResult, KernelError> {
        loop {
            let mut new = Vec::new();
            new_lines
                .read_to_end(&mut new)
                .map_err(KernelError::cache(&self.log))?;
            meter.advance(String::from_utf8_lossy(&new).lines().count() as u64);
            if let Some(status) = child.try_wait().map_err(KernelError::cache(&self.log))? {
                if self.interrupt.stop_requested() {
                    return Err(KernelError::Interrupted);
                }
                return Ok(if status.success() {
                    ToolResult::Success
                } else {
                    ToolResult::Failure
                });
            }
            if self.interrupt.stop_requested() {
                // make passes the signal on to its jobs, and removes their unfinished files.
                let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
                let _ = child.wait();
                return Err(KernelError::Interrupted);
            }
            thread::sleep(LOOK_INTERVAL);
        }
    }
}

/// Adds make and its arguments to `command`. make only reads `tree`, and writes to `objects`.
pub fn make<'c>(
    command: &'c mut Command,
    architecture: Architecture,
    tree: &Path,
    objects: &Path,
) -> &'c mut Command {
    let mut output = std::ffi::OsString::from("O=");
    output.push(objects);
    command
        .args(["make", "-C"])
        .arg(tree)
        .arg(output)
        .arg(format!("ARCH={}", architecture.name()))
}

/// Shows the progress of a tool.
struct ProgressMeter {
    bar: ProgressBar,
    what: String,
    display: Display,
    /// When the last line was printed.
    last_line: Instant,
}

impl ProgressMeter {
    fn new(what: &str, expected_lines: Option<u64>, display: Display) -> Self {
        let target = match display {
            Display::Bar => ProgressDrawTarget::stderr_with_hz(5),
            Display::Lines => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(expected_lines, target);
        let template = if expected_lines.is_some() {
            "{bar:24} {percent:>3} %  {msg:12} {elapsed}, {eta} left"
        } else {
            "{spinner} {msg} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        if display == Display::Lines {
            tell(format_args!("kernel: {what}"));
        }
        Self {
            bar,
            what: what.to_owned(),
            display,
            last_line: Instant::now(),
        }
    }

    fn advance(&mut self, lines: u64) {
        // The estimate may be too small, and a bar that is full before the end would mislead.
        let limit = self
            .bar
            .length()
            .map_or(u64::MAX, |length| length.saturating_sub(1));
        self.bar
            .set_position((self.bar.position() + lines).min(limit));
        if self.display == Display::Lines && self.last_line.elapsed() >= LINE_INTERVAL {
            let total = self
                .bar
                .length()
                .map_or(String::new(), |length| format!(" of about {length}"));
            let (what, step) = (&self.what, self.bar.position());
            tell(format_args!("kernel: {what}: step {step}{total}"));
            self.last_line = Instant::now();
        }
    }
}
