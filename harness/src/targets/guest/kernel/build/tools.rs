//! Runs the build's tools: what they say goes to a log, how far they are to the terminal.

use std::fs::OpenOptions;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::KernelError;
use crate::host::interrupt::Interrupt;

/// Time between two looks at a tool.
const LOOK: Duration = Duration::from_millis(50);
/// Time between two lines where there is no terminal.
const LINES: Duration = Duration::from_secs(20);
/// Lines that make prints for isobench's configuration of Linux 6.1: an estimate, for the bar alone.
const EXPECTED_LINES: u64 = 1430;

/// Runs one tool after the other.
pub struct Tools<'a> {
    log: PathBuf,
    interrupt: &'a Interrupt,
    terminal: bool,
}

impl<'a> Tools<'a> {
    pub fn new(log: PathBuf, interrupt: &'a Interrupt) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            log,
            interrupt,
            terminal,
        }
    }

    /// Runs the tool that `set_up` describes: a command line behind `setpriv`'s, which has it die with this process.
    pub fn run(
        &mut self,
        what: &str,
        set_up: impl FnOnce(&mut Command),
    ) -> Result<(), KernelError> {
        self.run_counted(what, None, set_up)
    }

    /// Compiles; make goes on where an earlier one was stopped.
    pub fn compile(&mut self, tree: &Path, objects: &Path) -> Result<(), KernelError> {
        let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.run_counted("compiling", Some(EXPECTED_LINES), |command| {
            // The same source gives the same bytes.
            for (name, value) in [
                ("TIMESTAMP", "1970-01-01"),
                ("USER", "isobench"),
                ("HOST", "isobench"),
            ] {
                command.env(format!("KBUILD_BUILD_{name}"), value);
            }
            make(command, tree, objects)
                .arg(format!("-j{jobs}"))
                .args(["vmlinux", "bzImage"]);
        })
    }

    fn run_counted(
        &mut self,
        what: &str,
        lines: Option<u64>,
        set_up: impl FnOnce(&mut Command),
    ) -> Result<(), KernelError> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.map_err(KernelError::cache(&self.log))?;
        let mut said = OpenOptions::new()
            .read(true)
            .open(&self.log)
            .map_err(KernelError::cache(&self.log))?;
        std::io::Seek::seek(&mut said, std::io::SeekFrom::End(0))
            .map_err(KernelError::cache(&self.log))?;
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
        let mut meter = Meter::new(what, lines, self.terminal);
        let ended = self.watch(child, &mut said, &mut meter);
        meter.bar.finish_and_clear();
        if ended? {
            Ok(())
        } else {
            Err(failed(what.to_owned()))
        }
    }

    /// Waits for `child`; whether it succeeded.
    fn watch(
        &self,
        mut child: Child,
        said: &mut std::fs::File,
        meter: &mut Meter,
    ) -> Result<bool, KernelError> {
        loop {
            let mut new = Vec::new();
            said.read_to_end(&mut new)
                .map_err(KernelError::cache(&self.log))?;
            meter.advance(String::from_utf8_lossy(&new).lines().count() as u64);
            if let Some(status) = child.try_wait().map_err(KernelError::cache(&self.log))? {
                return if self.interrupt.stop_requested() {
                    Err(KernelError::Interrupted)
                } else {
                    Ok(status.success())
                };
            }
            if self.interrupt.stop_requested() {
                // make hands it on to its jobs and removes what they left half done.
                let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
                let _ = child.wait();
                return Err(KernelError::Interrupted);
            }
            thread::sleep(LOOK);
        }
    }
}

/// Adds make's own arguments: the tree is only read, and what is made goes to `objects`.
pub fn make<'c>(command: &'c mut Command, tree: &Path, objects: &Path) -> &'c mut Command {
    let mut output = std::ffi::OsString::from("O=");
    output.push(objects);
    command
        .args(["make", "-C"])
        .arg(tree)
        .arg(output)
        .arg("ARCH=x86_64")
}

/// Shows how far a tool is.
struct Meter {
    bar: ProgressBar,
    what: String,
    lines: bool,
    last: Instant,
}

impl Meter {
    fn new(what: &str, expected: Option<u64>, terminal: bool) -> Self {
        let target = if terminal {
            ProgressDrawTarget::stderr_with_hz(5)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(expected, target);
        let template = if expected.is_some() {
            "{bar:24} {percent:>3} %  {msg:12} {elapsed}, {eta} left"
        } else {
            "{spinner} {msg} {elapsed}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        if !terminal {
            eprintln!("kernel: {what}");
        }
        Self {
            bar,
            what: what.to_owned(),
            lines: !terminal,
            last: Instant::now(),
        }
    }

    fn advance(&mut self, lines: u64) {
        // The estimate may be short: a bar that is full before the end would mislead.
        let limit = self
            .bar
            .length()
            .map_or(u64::MAX, |length| length.saturating_sub(1));
        self.bar
            .set_position((self.bar.position() + lines).min(limit));
        if self.lines && self.last.elapsed() >= LINES {
            let of = self
                .bar
                .length()
                .map_or(String::new(), |length| format!(" of about {length}"));
            eprintln!("kernel: {}: step {}{of}", self.what, self.bar.position());
            self.last = Instant::now();
        }
    }
}
