//! Results files as JSON: written in one piece, read without trust.
//!
//! A file may come from another machine, another version or another program, so nothing in it is
//! trusted. The file is read up to a bound, must say that it is of isobench and of this schema, and
//! its samples must agree with the targets and metrics that it declares.

mod out_of_range;
pub(crate) mod undeclared;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::error::Category;
use thiserror::Error;

use crate::model::{Metric, Run, SCHEMA_VERSION, Sample, Sign, Status, TOOL};
use crate::words::text::one_line;

/// The size of the largest file that is read, in bytes: some 500,000 samples, a hundred times a
/// thorough run.
const LIMIT: u64 = 128 << 20;

/// The longest piece of a file that an error quotes, in characters.
const QUOTE: usize = 120;

/// Why a results file can't be used.
#[derive(Debug, Error)]
pub enum ResultsError {
    /// The file can't be opened or read.
    #[error("cannot read the results file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The directory holds no results.
    #[error("{} has no results.json: its run was killed or failed before any were saved", directory.display())]
    NoResults {
        /// The directory.
        directory: PathBuf,
    },
    /// The file is larger than any results file.
    #[error("{} is larger than {} MiB: pass the results.json of a run", path.display(), LIMIT >> 20)]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file isn't JSON.
    #[error("{} is not JSON ({detail}): pass the results.json of a run", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        detail: String,
    },
    /// The file ends too early.
    #[error("{} is truncated ({detail}): copy it again from where it was made", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where the parser stopped.
        detail: String,
    },
    /// The file is JSON, but not of isobench.
    #[error("{} is not a results file of isobench: pass the results.json of a run", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file has another schema.
    #[error(
        "{} has results schema {found}, this isobench reads {SCHEMA_VERSION}: use the isobench {version} that wrote it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the schema in the file.
        found: u64,
        /// The version of isobench in the file.
        version: String,
    },
    /// A field is missing, unknown or of another type.
    #[error("{} does not follow results schema {SCHEMA_VERSION} ({detail}): it was edited or damaged", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// The field, and its place in the file.
        detail: String,
    },
    /// The file is an export of hyperfine that can't be used.
    #[error("the hyperfine export {} {what}: write it again with hyperfine's --export-json", path.display())]
    Hyperfine {
        /// The file.
        path: PathBuf,
        /// What is wrong with the export.
        what: String,
    },
    /// The file contradicts itself.
    #[error("{} contradicts itself ({what}): it was edited or damaged", path.display())]
    Inconsistent {
        /// The file.
        path: PathBuf,
        /// The contradiction.
        what: Inconsistency,
    },
}

/// A contradiction within a run.
#[derive(Debug, PartialEq, Error)]
pub enum Inconsistency {
    /// Two targets, or two metrics of one experiment, have the same name.
    #[error("{0:?} is declared twice")]
    Duplicate(String),
    /// A sample is of a target that the run doesn't declare.
    #[error("sample {sequence} is of the unknown target {name:?}")]
    UnknownTarget {
        /// The sample's place in the order.
        sequence: u64,
        /// The target's name.
        name: String,
    },
    /// A sample is of a metric that the run doesn't declare.
    #[error("sample {sequence} is of the unknown metric {name:?}")]
    UnknownMetric {
        /// The sample's place in the order.
        sequence: u64,
        /// The names of the experiment and the metric.
        name: String,
    },
    /// A sample has another unit than its metric.
    #[error("sample {sequence} is in {found}, its metric in {expected}")]
    WrongUnit {
        /// The sample's place in the order.
        sequence: u64,
        /// The sample's unit.
        found: &'static str,
        /// The metric's unit.
        expected: &'static str,
    },
    /// A sample counts but has no value.
    #[error("sample {0} is ok but has no value")]
    NoValue(u64),
    /// A sample doesn't count and doesn't say why.
    #[error("sample {0} is not ok and gives no reason")]
    NoReason(u64),
    /// A value is infinite or not a number.
    #[error("sample {0} has a value that is not finite")]
    NotFinite(u64),
    /// A value that can't be negative is below zero.
    #[error("sample {sequence} of {name} is {value} {unit}, which is below zero")]
    Negative {
        /// The sample's place in the order.
        sequence: u64,
        /// The names of the experiment and the metric.
        name: String,
        /// The sample's value.
        value: f64,
        /// The sample's unit.
        unit: &'static str,
    },
    /// The latencies of a sample's operations are not one for each percentile, ascending.
    #[error("sample {0} does not have one latency for each percentile, ascending")]
    Latencies(u64),
    /// The resolution of a metric is infinite, not a number or below zero.
    #[error("the resolution of {0:?} is not a length")]
    Resolution(String),
    /// A number about how the run was conducted is infinite, not a number or below zero.
    #[error("a number in the field `conduct` is infinite, not a number or below zero")]
    Conduct,
    /// The duration of the run is infinite, not a number or below zero.
    #[error("the run's duration is not a length of time")]
    Duration,
}

/// The fields of a results file that say what it is; other fields are ignored.
#[derive(Deserialize)]
struct Header {
    tool: String,
    schema: u64,
    #[serde(default)]
    version: String,
}

/// Reads a results file, or the `results.json` of a directory.
///
/// # Errors
///
/// If the file can't be read, isn't a results file of this schema, or contradicts itself. Each
/// error is one line that names the file.
pub fn read(path: &Path) -> Result<Run, ResultsError> {
    let (bytes, path) = load(path)?;
    parse(&bytes, &path)
}

/// The bytes of a file, or of the `results.json` of a directory, and the file's path.
///
/// # Errors
///
/// If the file can't be read, or is too large.
pub(super) fn load(path: &Path) -> Result<(Vec<u8>, PathBuf), ResultsError> {
    let directory = path.is_dir().then_some(path);
    let path = directory.map_or_else(|| path.to_owned(), |path| path.join("results.json"));
    let cannot_read = |source| ResultsError::Read {
        path: path.clone(),
        source,
    };
    let file = File::open(&path).map_err(|error| match directory {
        Some(directory) if error.kind() == ErrorKind::NotFound => ResultsError::NoResults {
            directory: directory.to_owned(),
        },
        _ => cannot_read(error),
    })?;
    // A pipe has no length, so the bytes that are read are counted as well.
    if file.metadata().map_err(cannot_read)?.len() > LIMIT {
        return Err(ResultsError::TooLarge { path });
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot_read)?;
    if bytes.len() as u64 > LIMIT {
        return Err(ResultsError::TooLarge { path });
    }
    Ok((bytes, path))
}

/// Reads results from memory; errors name the file `path`.
///
/// # Errors
///
/// As [`read`].
pub fn parse(bytes: &[u8], path: &Path) -> Result<Run, ResultsError> {
    let path = || path.to_owned();
    let header: Header = serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        Category::Eof => ResultsError::Truncated {
            path: path(),
            detail: quote(&error),
        },
        Category::Data => ResultsError::Foreign { path: path() },
        Category::Syntax | Category::Io => ResultsError::NotJson {
            path: path(),
            detail: quote(&error),
        },
    })?;
    if header.tool != TOOL {
        return Err(ResultsError::Foreign { path: path() });
    }
    if header.schema != u64::from(SCHEMA_VERSION) {
        let version = one_line(&header.version, QUOTE);
        return Err(ResultsError::Version {
            path: path(),
            found: header.schema,
            version,
        });
    }
    let mut run = serde_json::from_slice(bytes).map_err(|error| ResultsError::Schema {
        path: path(),
        detail: quote(&error),
    })?;
    undeclared::fill_in(&mut run);
    check(&run).map_err(|what| ResultsError::Inconsistent { path: path(), what })?;
    out_of_range::mark_as_failed(&mut run);
    Ok(run)
}

/// The parser's message on one line; it may quote the file.
fn quote(error: &serde_json::Error) -> String {
    one_line(&error.to_string(), QUOTE)
}

/// Writes a run as JSON, indented, with a line end.
///
/// # Errors
///
/// If the run contradicts itself, so that the file couldn't be read again.
pub fn render(run: &Run) -> Result<Vec<u8>, Inconsistency> {
    check(run)?;
    let mut bytes = serde_json::to_vec_pretty(run).unwrap_or_default();
    bytes.push(b'\n');
    Ok(bytes)
}

/// Checks that a run doesn't contradict itself.
///
/// # Errors
///
/// The first contradiction found.
pub fn check(run: &Run) -> Result<(), Inconsistency> {
    if !run.duration_seconds.is_finite() || run.duration_seconds < 0.0 {
        return Err(Inconsistency::Duration);
    }
    if !run.conduct.is_finite() {
        return Err(Inconsistency::Conduct);
    }
    let mut targets = HashSet::new();
    for target in &run.targets {
        if !targets.insert(target.name.as_str()) {
            return Err(Inconsistency::Duplicate(one_line(&target.name, QUOTE)));
        }
    }
    let mut metrics = HashMap::new();
    for experiment in &run.experiments {
        for metric in &experiment.metrics {
            if metrics
                .insert((experiment.name.as_str(), metric.name.as_str()), metric)
                .is_some()
            {
                let name = format!("{}/{}", experiment.name, metric.name);
                return Err(Inconsistency::Duplicate(one_line(&name, QUOTE)));
            }
            let mut resolution = metric.resolution.into_iter();
            if resolution.any(|period| !period.is_finite() || period < 0.0) {
                let name = format!("{}/{}", experiment.name, metric.name);
                return Err(Inconsistency::Resolution(one_line(&name, QUOTE)));
            }
        }
    }
    run.samples
        .iter()
        .try_for_each(|sample| check_sample(sample, &targets, &metrics))
}

fn check_sample(
    sample: &Sample,
    targets: &HashSet<&str>,
    metrics: &HashMap<(&str, &str), &Metric>,
) -> Result<(), Inconsistency> {
    let sequence = sample.sequence;
    if !targets.contains(sample.target.as_str()) {
        return Err(Inconsistency::UnknownTarget {
            sequence,
            name: one_line(&sample.target, QUOTE),
        });
    }
    let Some(metric) = metrics.get(&(sample.experiment.as_str(), sample.metric.as_str())) else {
        let name = one_line(&format!("{}/{}", sample.experiment, sample.metric), QUOTE);
        return Err(Inconsistency::UnknownMetric { sequence, name });
    };
    if metric.unit != sample.unit {
        let (found, expected) = (sample.unit.symbol(), metric.unit.symbol());
        return Err(Inconsistency::WrongUnit {
            sequence,
            found,
            expected,
        });
    }
    if sample.value.is_some_and(|value| !value.is_finite()) {
        return Err(Inconsistency::NotFinite(sequence));
    }
    if let Some(value) = sample.value.filter(|value| *value < 0.0)
        && metric.sign == Sign::NonNegative
    {
        let name = format!("{}/{}", sample.experiment, sample.metric);
        return Err(Inconsistency::Negative {
            sequence,
            name: one_line(&name, QUOTE),
            value,
            unit: metric.unit.symbol(),
        });
    }
    let latencies = sample.latencies.as_ref();
    if latencies.is_some_and(|latencies| !latencies.is_sound()) {
        return Err(Inconsistency::Latencies(sequence));
    }
    match sample.status {
        Status::Ok if sample.value.is_none() => Err(Inconsistency::NoValue(sequence)),
        Status::Failed | Status::Unavailable if sample.reason.is_none() => {
            Err(Inconsistency::NoReason(sequence))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
