//! The progress of a run: a bar on a terminal, plain lines otherwise.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::streams::{can_redraw, tell};

/// The time between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// How often the bar is drawn per second. More often would disturb the measured programs.
const REDRAWS: u8 = 5;

/// Shows which sample is being taken.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// Whether the progress is printed as lines.
    prints_lines: bool,
    /// The number of samples; `None` if it is unknown.
    samples: Option<usize>,
    last_line: Option<Instant>,
}

impl Progress {
    /// Shows the progress of a run of `samples` samples, on standard error: standard output holds
    /// the results alone.
    pub fn new(samples: usize) -> Self {
        let can_redraw = can_redraw();
        let target = if can_redraw {
            ProgressDrawTarget::stderr_with_hz(REDRAWS)
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(Some(samples as u64), target);
        let style = ProgressStyle::with_template("{bar:24} {percent:>3} %  {msg:32} {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            prints_lines: !can_redraw,
            samples: Some(samples),
            last_line: None,
        }
    }

    /// As [`Progress::new`], for a run whose number of samples is unknown.
    pub fn open_ended() -> Self {
        let progress = Self {
            samples: None,
            ..Self::new(0)
        };
        let style = ProgressStyle::with_template("{spinner} {elapsed}  sample {pos}  {msg:32}");
        progress.bar.set_length(u64::MAX);
        progress
            .bar
            .set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        progress
    }

    /// A progress that shows nothing.
    pub fn silent() -> Self {
        Self {
            bar: ProgressBar::hidden(),
            prints_lines: false,
            samples: None,
            last_line: None,
        }
    }

    /// Shows that the sample `number` begins.
    pub fn begin_sample(&mut self, number: usize, experiment: &str, target: &str) {
        self.bar.set_message(format!("{experiment} {target}"));
        self.bar.set_position(number as u64);
        let is_due = self
            .last_line
            .is_none_or(|last| last.elapsed() >= LINE_INTERVAL);
        if self.prints_lines && is_due {
            let total = match self.samples {
                None => String::new(),
                Some(samples) => format!(" of {samples}"),
            };
            let number = number + 1;
            tell(format_args!(
                "sample {number}{total}: {experiment}, {target}"
            ));
            self.last_line = Some(Instant::now());
        }
    }

    /// Removes the bar at the end of the run.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
