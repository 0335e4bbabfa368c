//! How far a run is: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// Redraws a second: often enough to look alive, seldom enough not to disturb the measured programs.
const REDRAWS: u8 = 5;

/// Shows which sample is being taken.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    lines: bool,
    steps: usize,
    last_line: Option<Instant>,
}

impl Progress {
    /// Shows `steps` steps on standard error, so that standard output holds the results alone.
    pub fn new(steps: usize) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let target = if terminal {
            ProgressDrawTarget::stderr_with_hz(REDRAWS)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(steps as u64), target);
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {msg:32} {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            lines: !terminal,
            steps,
            last_line: None,
        }
    }

    /// As [`Progress::new`], for a run of which nobody knows how long it takes.
    pub fn open_ended() -> Self {
        let progress = Self {
            steps: 0,
            ..Self::new(0)
        };
        let style = ProgressStyle::with_template("{spinner} {elapsed}  sample {pos}  {msg:32}");
        progress.bar.set_length(u64::MAX);
        progress
            .bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        progress
    }

    /// One that shows nothing.
    pub fn silent() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            lines: false,
            steps: 0,
            last_line: None,
        }
    }

    /// Step `number` begins.
    pub fn step(&mut self, number: usize, experiment: &str, target: &str) {
        self.bar.set_message(format!("{experiment} {target}"));
        self.bar.set_position(number as u64);
        let due = self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if self.lines && due {
            let of = match self.steps {
                0 => String::new(),
                steps => format!(" of {steps}"),
            };
            // A reader that has gone away must not end the run.
            let _ = writeln!(
                std::io::stderr(),
                "sample {}{of}: {experiment}, {target}",
                number + 1,
            );
            self.last_line = Some(Instant::now());
        }
    }

    /// The run has ended.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
