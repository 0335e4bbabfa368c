//! Cold starts: the first one after boot, say, when a target's files are on the disk alone.
//!
//! Before each cold start the page cache of the target's own files is dropped, and looked at: a start of which one page was
//! still in memory is a failed sample. Its own are the program that is started, every file that its command line names, and
//! all below the directory that was prepared for it: launcher, workload, kernel, layers, configuration. Files that it shares with
//! the host's other programs, such as the C library of a runtime that is dynamically linked, are in use and stay.

use std::path::PathBuf;
use std::time::Duration;

use isobench_reports::model::Part;
use isobench_reports::schema::MetricSchema;
use isobench_reports::schema::start_cold::{COLD, METRICS, NAME, READ, WARM};

use super::startup::{phases_of, until_ready};
use super::{BACK_TO_BACK, Bench, Experiment, MeasureError, Measured, Reading, Rounds, Subject};
use crate::experiments::profile::Profile;
use crate::host::page_cache::{bring_in, files_of, held, take_out};
use crate::instance::Stdin;
use crate::instance::command_line::CommandLine;
use crate::targets::TargetInfo;

/// The case of cold starts; the other is that of warm ones.
const COLD_CASE: usize = 0;

/// See the module's documentation.
#[derive(Debug)]
pub struct StartCold;

impl Experiment for StartCold {
    fn name(&self) -> &'static str {
        NAME
    }

    fn method(&self) -> &'static str {
        "As `startup`, for the least program, twice: `cold`, with none of the target's own files in the page cache, and `warm`, \
         with all of them, in shuffled order. Its own files are the program that is started, every file that its command \
         line names and all below the directory prepared for it. They are written back, dropped (posix_fadvise) and looked \
         for (mincore); a page that stays fails the sample. What the target shares with other programs, a C library say, \
         stays in memory, and so do the names and sizes of files. `read` is how much of its files is in memory after a cold \
         start. The drop takes the place of a gap."
    }

    fn metrics(&self) -> Vec<MetricSchema> {
        METRICS.into()
    }

    fn parts(&self, metric: &str, targets: &[&TargetInfo]) -> Vec<Part> {
        if metric == READ.name {
            return Vec::new();
        }
        phases_of(targets)
    }

    fn idle_gap(&self, metric: &str) -> Option<Duration> {
        (metric != READ.name).then_some(BACK_TO_BACK)
    }

    fn is_default(&self) -> bool {
        false
    }

    fn cases(&self) -> Vec<Vec<&'static str>> {
        vec![vec![COLD.name, READ.name], vec![WARM.name]]
    }

    fn rounds(&self, profile: Profile) -> Rounds {
        match profile {
            Profile::Quick => Rounds {
                warmup: 1,
                measured: 10,
            },
            Profile::Standard => Rounds {
                warmup: 2,
                measured: 60,
            },
            Profile::Thorough => Rounds {
                warmup: 2,
                measured: 300,
            },
        }
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
                    COLD_CASE => take_out(&files)?,
                    _ => bring_in(&files)?,
                }
                Ok(())
            })?;
        if case != COLD_CASE {
            return Ok(until_ready(WARM.name, group, instance)?.into());
        }
        let mut readings = until_ready(COLD.name, group, instance)?;
        // What was made for this instance alone went with it.
        files.retain(|path| path.exists());
        readings.push(Reading::total(READ.name, held(&files)?.as_u64() as f64));
        Ok(readings.into())
    }
}

/// The files that only this target's instances use.
fn own_files(command: &CommandLine, subject: &Subject) -> Vec<PathBuf> {
    files_of(own_places(command, subject))
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
