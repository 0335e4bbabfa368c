//! Cold starts: the first one after boot, say, when a target's files are on the disk alone.
//!
//! Before each cold start the page cache of the target's own files is dropped, and looked at: a start of which one page was
//! still in memory is a failed sample. Its own are the program that is started, every file that its command line names, and
//! all below the directory that was prepared for it: launcher, workload, kernel, layers, configuration. Files that it shares with
//! the host's other programs, such as the C library of a runtime that is dynamically linked, are in use and stay.

use std::path::PathBuf;
use std::time::Duration;

use isobench_reports::schema::start_cold::{COLD, METRICS, NAME, READ, WARM};

use super::startup::until_ready;
use super::{
    Bench, Case, Experiment, ExperimentInfo, Inclusion, MeasureError, Measured, MetricInfo, Parts,
    Reading, Rounds, Subject,
};
use crate::experiments::profile::ByProfile;
use crate::host::page_cache::{cached_size, evict, files_below, load};
use crate::instance::Stdin;
use crate::instance::command_line::CommandLine;

/// The case of cold starts; the other is that of warm ones.
const COLD_CASE: usize = 0;

/// How the figures are measured, for a report's reader.
const METHOD: &str = "As `startup`, for the least program, twice: `cold`, with none of the target's own files in the page cache, and `warm`, \
    with all of them, in shuffled order. Its own files are the program that is started, every file that its command \
    line names and all below the directory prepared for it. They are written back, dropped (posix_fadvise) and looked \
    for (mincore); a page that stays fails the sample. What the target shares with other programs, a C library say, \
    stays in memory, and so do the names and sizes of files. `read` is how much of its files is in memory after a cold \
    start. The drop takes the place of a gap.";

/// See the module's documentation.
#[derive(Debug)]
pub struct StartCold {
    info: ExperimentInfo,
}

impl StartCold {
    /// The experiment, described.
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                inclusion: Inclusion::IfNamed,
                ..ExperimentInfo::new(
                    NAME,
                    METHOD,
                    METRICS.map(|metric| {
                        if metric == READ {
                            return MetricInfo::from(metric);
                        }
                        MetricInfo::from(metric)
                            .in_parts(Parts::Phases)
                            .back_to_back()
                    }),
                    [Case::of([COLD, READ]), Case::of([WARM])],
                    ByProfile {
                        quick: Rounds::new(1, 10),
                        standard: Rounds::new(2, 60),
                        thorough: Rounds::new(2, 300),
                    },
                )
            },
        }
    }
}

impl Experiment for StartCold {
    fn info(&self) -> &ExperimentInfo {
        &self.info
    }

    fn measure(
        &self,
        case: usize,
        subject: &Subject,
        bench: &Bench,
    ) -> Result<Measured, MeasureError> {
        let launch = bench.launch(&["ready"]);
        let mut files = Vec::new();
        let (group, instance) =
            bench.start_after(subject, launch, Stdin::Null, Duration::ZERO, |command| {
                files = own_files(command, subject);
                match case {
                    COLD_CASE => evict(&files)?,
                    _ => load(&files)?,
                }
                Ok(())
            })?;
        if case != COLD_CASE {
            return Ok(until_ready(WARM.name, group, instance)?.into());
        }
        let mut readings = until_ready(COLD.name, group, instance)?;
        // What was made for this instance alone went with it.
        files.retain(|path| path.exists());
        readings.push(Reading::total(
            READ.name,
            cached_size(&files)?.as_u64() as f64,
        ));
        Ok(readings.into())
    }
}

/// The files that only this target's instances use.
fn own_files(command: &CommandLine, subject: &Subject) -> Vec<PathBuf> {
    files_below(own_places(command, subject))
}

/// The same, as files and the directory that holds the others.
pub(super) fn own_places(command: &CommandLine, subject: &Subject) -> Vec<PathBuf> {
    let named = command.arguments.iter().map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute() && path.is_file());
    let program = [command.program.clone()].into_iter();
    let places = program.chain(command.input.clone()).chain(named);
    // A program may be found through a link, as alternatives are.
    let places = places.map(|path| path.canonicalize().unwrap_or(path));
    places.chain([subject.directory.clone()]).collect()
}
