//! Cold starts: the target's files are on the disk alone, as at the first start after boot.
//!
//! Before each cold start, the harness evicts the target's own files from the page cache and checks
//! that no page is left. If a page is left, the sample fails. The target's own files are the
//! program that is started, every file that its command line names, and all files below the
//! directory in which the target was prepared: launcher, workload, kernel, layers, configuration.
//! Files that the target shares with other programs of the host are in use and stay cached, such as
//! the C library of a dynamically linked runtime.

use std::path::PathBuf;
use std::time::Duration;

use isobench_reports::schema::start_cold::{COLD, METRICS, NAME, READ, WARM};

use super::startup::until_ready;
use super::{
    Case, Experiment, ExperimentInfo, Inclusion, MeasureContext, MeasureError, Measurement,
    MetricInfo, Parts, Reading, ReadyTarget, Rounds,
};
use crate::experiments::profile::ByProfile;
use crate::host::page_cache::{cached_size, evict, files_below, load};
use crate::host::session::Medium;
use crate::instance::Stdin;
use crate::instance::command_line::CommandLine;

/// The case of cold starts. The other case is that of warm starts.
const COLD_CASE: usize = 0;

/// How the metrics are measured, for a report's reader.
const METHOD: &str = "As `startup`, for the least program, in two cases in shuffled order: `cold`, \
    with none of the target's own files in the page cache, and `warm`, with all of them there. The \
    target's own files are the program that is started, every file that its command line names, \
    and \
    all files below the directory that was prepared for the target. The harness writes these files \
    back, drops them from the page cache (posix_fadvise) and checks that they are gone (mincore); \
    a \
    page that stays fails the sample. Files that the target shares with other programs, such as a \
    C \
    library, stay in memory, and so do the names and sizes of files. `read` is how much of the \
    target's own files is in memory after a cold start. The drop takes the place of an idle gap.";

/// The experiment `start-cold`.
#[derive(Debug)]
pub struct StartCold {
    info: ExperimentInfo,
}

impl StartCold {
    pub fn new() -> Self {
        Self {
            info: ExperimentInfo {
                inclusion: Inclusion::OnlyIfNamed,
                medium: Medium::Disk,
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
        target: &ReadyTarget,
        context: &MeasureContext,
    ) -> Result<Measurement, MeasureError> {
        let launch = context.launch(&["ready"]);
        let mut files = Vec::new();
        let (group, instance) =
            context.start_after(target, launch, Stdin::Null, Duration::ZERO, |command| {
                files = own_files(command, target);
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
        // The files of this instance alone have been removed with the instance.
        files.retain(|path| path.exists());
        readings.push(Reading::total(
            READ.name,
            cached_size(&files)?.as_u64() as f64,
        ));
        Ok(readings.into())
    }
}

/// The files that only the instances of `target` use.
fn own_files(command: &CommandLine, target: &ReadyTarget) -> Vec<PathBuf> {
    files_below(own_places(command, target))
}

/// The places of [`own_files`]: files that the command line names, and the target's directory.
pub(super) fn own_places(command: &CommandLine, target: &ReadyTarget) -> Vec<PathBuf> {
    let named = command.arguments.iter().map(PathBuf::from);
    let named = named.filter(|path| path.is_absolute() && path.is_file());
    let program = [command.program.clone()].into_iter();
    let places = program.chain(command.input.clone()).chain(named);
    // The path of a program may be a symbolic link, as with Debian's alternatives.
    let places = places.map(|path| path.canonicalize().unwrap_or(path));
    places.chain([target.directory.clone()]).collect()
}
