//! What hyperfine exports, as a run: each command is a target of one experiment.
//!
//! Up to version 1.20 a result has `times` in seconds; since 2.0 (`schema_version` 2) it has
//! `measurements`, whose values have units. hyperfine measured such a run, with its own clock and
//! from where it begins to where it ends, so the run's host and its stamp say that. hyperfine takes
//! all runs of a command before it turns to the next; so no two commands share a round here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::json::{self, ResultsError};
use crate::model::{
    Conduct, Experiment, Fact, Host, MEASURED_ELSEWHERE, Metric, Run, SCHEMA_VERSION, Sample,
    Status, TOOL, TOTAL, Target, TargetFamily, TargetKind, Unit,
};
use crate::schema::MetricSchema;
use crate::schema::hyperfine as schema;
use crate::words::text::one_line;

/// The newest schema of exports that is known.
const NEWEST: u64 = 2;

/// Longest name of a command, in characters. A hostile file can't make it longer.
const NAME: usize = 200;

/// What tells an export from other files.
#[derive(Deserialize)]
struct Header {
    #[serde(rename = "results")]
    _results: IgnoredAny,
    tool: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Export {
    #[serde(default = "first_schema")]
    schema_version: u64,
    #[serde(default)]
    metadata: Metadata,
    results: Vec<CommandResult>,
}

const fn first_schema() -> u64 {
    1
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    hyperfine_version: Option<String>,
    start_time: Option<String>,
    platform: Platform,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Platform {
    os: Option<String>,
    architecture: Option<String>,
}

#[derive(Deserialize)]
struct CommandResult {
    command: String,
    /// Up to schema 1: seconds.
    #[serde(default)]
    times: Vec<f64>,
    /// Up to schema 1, where hyperfine has it: the peak of each run in bytes.
    #[serde(default)]
    memory_usage_byte: Vec<f64>,
    #[serde(default)]
    exit_codes: Vec<Option<i64>>,
    /// Since schema 2.
    #[serde(default)]
    measurements: Vec<Measurement>,
    #[serde(default)]
    parameters: BTreeMap<String, Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Measurement {
    time_wall_clock: Option<Quantity>,
    time_user: Option<Quantity>,
    time_system: Option<Quantity>,
    memory_peak_resident: Option<Quantity>,
    exit_code: Option<i64>,
}

#[derive(Deserialize)]
struct Quantity {
    value: f64,
    unit: String,
}

impl Quantity {
    /// The value in the unit of samples; nothing if hyperfine's unit isn't known.
    fn in_unit(&self, unit: Unit) -> Option<f64> {
        match (unit, self.unit.as_str()) {
            (Unit::Nanoseconds, "second") => Some(self.value * 1e9),
            (Unit::Bytes, "byte") => Some(self.value),
            _ => None,
        }
    }
}

/// Reads an export of hyperfine, or results as [`json::read`] does.
///
/// # Errors
///
/// As [`json::read`]; [`ResultsError::Hyperfine`] if an export can't be used.
pub fn read(path: &Path) -> Result<Run, ResultsError> {
    let (bytes, path) = json::load(path)?;
    let header = serde_json::from_slice::<Header>(&bytes);
    if header.is_ok_and(|header| header.tool.is_none()) {
        return parse(&bytes, &path);
    }
    json::parse(&bytes, &path)
}

/// The run that an export has; errors name the file `path`.
///
/// # Errors
/// The file has another form than hyperfine's exports, is of a later schema, or has no runs.
fn parse(bytes: &[u8], path: &Path) -> Result<Run, ResultsError> {
    let refuse = |what: String| ResultsError::Hyperfine {
        path: path.to_owned(),
        what,
    };
    let export: Export = serde_json::from_slice(bytes).map_err(|error| {
        refuse(format!(
            "is damaged ({})",
            one_line(&error.to_string(), NAME)
        ))
    })?;
    if export.schema_version > NEWEST {
        let found = export.schema_version;
        return Err(refuse(format!(
            "has schema {found}, and this isobench reads up to {NEWEST}"
        )));
    }
    if export.results.is_empty() {
        return Err(refuse("has no runs of any command".to_owned()));
    }
    let run = export.into_run().map_err(refuse)?;
    json::check(&run).map_err(|what| ResultsError::Inconsistent {
        path: path.to_owned(),
        what,
    })?;
    Ok(run)
}

impl Export {
    /// The run; the error is what the export lacks.
    fn into_run(self) -> Result<Run, String> {
        let version = self.metadata.hyperfine_version.as_deref();
        let version = version.map_or("1".to_owned(), |version| one_line(version, NAME));
        let (mut targets, mut samples) = (Vec::new(), Vec::new());
        let mut warnings = vec![
            "hyperfine takes all runs of a command before it turns to the next: a drift of the host looks like a difference"
                .to_owned(),
        ];
        for result in &self.results {
            let name = unique(result.name(), &targets);
            let before = samples.len();
            result.add_samples(&name, &mut samples)?;
            if samples.len() == before {
                return Err(format!("has no runs of `{name}`"));
            }
            warnings.extend(result.warning(&name));
            targets.push(target(name, &version));
        }
        let metrics = schema::METRICS.into_iter().filter(|metric| {
            let mut of_samples = samples.iter();
            of_samples.any(|sample: &Sample| sample.metric == metric.name)
        });
        let nanos = samples
            .iter()
            .filter(|sample| sample.metric == schema::END.name);
        let nanos: f64 = nanos.filter_map(|sample| sample.value).sum();
        Ok(Run {
            schema: SCHEMA_VERSION,
            tool: TOOL.to_owned(),
            version: format!("hyperfine {version}"),
            started: self.metadata.start_time.as_deref().map_or_else(
                || "at an unknown time".to_owned(),
                |time| one_line(time, NAME),
            ),
            duration_seconds: nanos / 1e9,
            partial: false,
            profile: "hyperfine".to_owned(),
            seed: 0,
            host: self.metadata.host(&version),
            targets,
            experiments: vec![experiment(metrics.map(MetricSchema::to_metric).collect())],
            conduct: Conduct::default(),
            warnings,
            samples,
        })
    }
}

impl Metadata {
    fn host(&self, version: &str) -> Host {
        let platform = &self.platform;
        let parts = [&platform.os, &platform.architecture];
        let parts = parts.into_iter().flatten().map(|part| one_line(part, NAME));
        let elsewhere = format!("measured elsewhere, by hyperfine {version}");
        Host {
            summary: std::iter::once(elsewhere.clone())
                .chain(parts)
                .collect::<Vec<_>>()
                .join(" · "),
            facts: vec![Fact {
                key: MEASURED_ELSEWHERE.to_owned(),
                label: "Measured".to_owned(),
                value: elsewhere,
                concern: None,
            }],
        }
    }
}

impl CommandResult {
    /// The command as hyperfine names it. Parameters that the name doesn't show stand behind it.
    fn name(&self) -> String {
        let shown = |value: &Value| match value.get("value").unwrap_or(value) {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let parameters = self
            .parameters
            .iter()
            .map(|(key, value)| (key, shown(value)));
        let hidden = parameters.filter(|(_, value)| !self.command.contains(value.as_str()));
        let hidden: Vec<_> = hidden
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        let name = if hidden.is_empty() {
            self.command.clone()
        } else {
            format!("{} ({})", self.command, hidden.join(", "))
        };
        one_line(&name, NAME)
    }

    fn add_samples(&self, target: &str, samples: &mut Vec<Sample>) -> Result<(), String> {
        for (index, seconds) in self.times.iter().enumerate() {
            samples.push(sample(target, schema::END, samples, seconds * 1e9, true));
            if let Some(bytes) = self.memory_usage_byte.get(index) {
                samples.push(sample(target, schema::PEAK, samples, *bytes, false));
            }
        }
        for measurement in &self.measurements {
            let quantities = [
                (schema::END, &measurement.time_wall_clock),
                (schema::USER, &measurement.time_user),
                (schema::SYSTEM, &measurement.time_system),
                (schema::PEAK, &measurement.memory_peak_resident),
            ];
            for (metric, quantity) in quantities {
                let Some(quantity) = quantity else { continue };
                let value = quantity.in_unit(metric.unit).ok_or_else(|| {
                    let unit = one_line(&quantity.unit, NAME);
                    format!("has {} in `{unit}`, which isn't known", metric.name)
                })?;
                let is_first = metric == schema::END;
                samples.push(sample(target, metric, samples, value, is_first));
            }
        }
        Ok(())
    }

    /// What is said of runs that failed: hyperfine counts them if it was told to.
    fn warning(&self, name: &str) -> Option<String> {
        let codes = self.exit_codes.iter().copied();
        let codes = codes.chain(self.measurements.iter().map(|one| one.exit_code));
        let all = codes.clone().count();
        let failed = codes.filter(|code| *code != Some(0)).count();
        (failed > 0).then(|| {
            format!("`{name}`: {failed} of {all} runs ended by a signal or with an exit code other than 0; hyperfine counted them")
        })
    }
}

/// A sample behind the others, in a round of its own if it is the first of one.
fn sample(
    target: &str,
    metric: MetricSchema,
    samples: &[Sample],
    value: f64,
    is_first: bool,
) -> Sample {
    let round = samples
        .last()
        .map_or(0, |last| last.round + u32::from(is_first));
    Sample {
        target: target.to_owned(),
        experiment: schema::NAME.to_owned(),
        metric: metric.name.to_owned(),
        part: TOTAL.to_owned(),
        unit: metric.unit,
        round,
        sequence: round.into(),
        value: Some(value),
        status: Status::Ok,
        reason: None,
        latencies: None,
    }
}

/// The name, with a number behind it if another command has the same.
fn unique(name: String, targets: &[Target]) -> String {
    let is_taken = |name: &str| targets.iter().any(|target| target.name == name);
    if !is_taken(&name) {
        return name;
    }
    let numbered = (2..).map(|number| format!("{name} #{number}"));
    numbered
        .into_iter()
        .find(|numbered| !is_taken(numbered))
        .unwrap_or(name)
}

fn target(name: String, version: &str) -> Target {
    Target {
        description: format!("`{name}`, timed by hyperfine."),
        name,
        kind: TargetKind::Peer,
        family: TargetFamily::Other,
        version: Some(format!("hyperfine {version}")),
        differences: Vec::new(),
        floor: None,
        emulated: false,
        unavailable: None,
    }
}

fn experiment(metrics: Vec<Metric>) -> Experiment {
    Experiment {
        name: schema::NAME.to_owned(),
        method: "hyperfine's own figures, measured elsewhere: from before the spawn until the process is reaped, without the time of the shell if there was one. Not isobench's window."
            .to_owned(),
        command: None,
        metrics,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<Run, String> {
        super::parse(text.as_bytes(), Path::new("x.json")).map_err(|error| error.to_string())
    }

    #[test]
    fn runs_of_different_commands_share_no_round_and_names_are_unique() {
        let run = parse(
            r#"{"results": [
                {"command": "a", "times": [0.1, 0.2], "memory_usage_byte": [5, 6], "exit_codes": [0, 1]},
                {"command": "a", "times": [0.3], "parameters": {"n": "2"}},
                {"command": "a", "times": [0.4]}
            ]}"#,
        )
        .unwrap();
        let names: Vec<_> = run
            .targets
            .iter()
            .map(|target| target.name.as_str())
            .collect();
        assert_eq!(names, ["a", "a (n=2)", "a #2"]);
        let rounds = |metric: &str| {
            let of_metric = run.samples.iter().filter(|sample| sample.metric == metric);
            of_metric.map(|sample| sample.round).collect::<Vec<_>>()
        };
        assert_eq!(rounds("end"), [1, 2, 3, 4].map(|round| round - 1));
        assert_eq!(rounds("memory-peak-resident"), [0, 1]);
        assert!(
            run.warnings[1].contains("`a`: 1 of 2 runs"),
            "{:?}",
            run.warnings
        );
        assert_eq!(
            run.stamp().as_deref(),
            Some("measured elsewhere, by hyperfine 1")
        );
    }

    #[test]
    fn what_has_no_runs_is_refused() {
        for (text, hint) in [
            (r#"{"results": []}"#, "has no runs of any command"),
            (
                r#"{"results": [{"command": "a", "mean": 1.0}]}"#,
                "has no runs of `a`",
            ),
            (r#"{"schema_version": 3, "results": []}"#, "has schema 3"),
            (
                r#"{"results": [{"times": [1.0]}]}"#,
                "is damaged (missing field `command`",
            ),
            (
                r#"{"results": [{"command": "a", "times": [-1.0]}]}"#,
                "is not a length of time",
            ),
            (
                r#"{"results": [{"command": "a", "measurements": [{"time_wall_clock": {"value": 1, "unit": "day"}}]}]}"#,
                "in `day`, which isn't known",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains(hint) && error.contains("x.json"),
                "{text}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(text in r#"\{"results": \[(\{"command": "a", "times": \[[0-9.,e-]{0,9}\]\},?){0,3}\]\}|\PC{0,40}"#) {
            let _ = parse(&text);
        }
    }
}
