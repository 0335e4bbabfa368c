//! Turns the result of a sample into rows of the results file.

use isobench_reports::model::{Injection, Latencies, Sample, Status, TOTAL};

use crate::experiments::{Case, ExperimentInfo, MeasureError, Measurement, MetricInfo};
use crate::suite::plan::PlannedSample;

/// Adds a note to every row of a delayed sample: the run added a delay on purpose.
pub(super) fn note_injections(rows: &mut [Sample], injections: &[Injection]) {
    for row in rows {
        let mut own = injections.iter().filter(|injection| {
            (&injection.target, &injection.experiment) == (&row.target, &row.experiment)
        });
        if let Some(injection) = own.next() {
            let note = format!("{} ns were added on purpose", injection.delay_ns);
            row.reason = Some(match row.reason.take() {
                Some(reason) => format!("{reason}; {note}"),
                None => note,
            });
        }
    }
}

/// The rows of one sample: a row for each reading, and a row with the reason for each metric that is
/// missing or unavailable. If a
/// reading has a metric that doesn't belong to the case, the whole sample fails.
pub(super) fn rows(
    experiment: &ExperimentInfo,
    target: &str,
    planned: &PlannedSample,
    sequence: u64,
    result: Result<Measurement, MeasureError>,
) -> Vec<Sample> {
    let case = &experiment.cases[planned.case];
    let measurement = result
        .and_then(|measurement| check(case, measurement))
        .unwrap_or_else(|error| all_missing(case, error));
    let context = RowContext {
        experiment,
        target,
        round: planned.round,
        sequence,
    };
    let (good, note) = if planned.is_warmup {
        (Status::Warmup, Some("taken to warm up".to_owned()))
    } else {
        (Status::Ok, None)
    };
    let metric = |name: &str| experiment.metric(name);
    let values = measurement.readings.into_iter().filter_map(|reading| {
        Some(Sample {
            value: Some(reading.value),
            latencies: reading.latencies,
            ..context.row(metric(reading.metric)?, &reading.part, good, note.clone())
        })
    });
    let failures = measurement.missing.into_iter();
    let unavailable = measurement.unavailable.into_iter();
    let without_value = failures
        .map(|missing| (missing, Status::Failed))
        .chain(unavailable.map(|missing| (missing, Status::Unavailable)))
        .filter_map(|((name, reason), status)| {
            let reason = match case.part.as_str() {
                TOTAL => reason,
                part => format!("{part}: {reason}"),
            };
            Some(context.row(metric(name)?, &case.part, status, Some(reason)))
        });
    values.chain(without_value).collect()
}

/// The rows of a case that is impossible for the target: one for each metric, with the reason.
pub(super) fn unavailable_rows(
    experiment: &ExperimentInfo,
    case: &Case,
    target: &str,
    reason: &str,
) -> Vec<Sample> {
    let context = RowContext {
        experiment,
        target,
        round: 0,
        sequence: 0,
    };
    let is_of_case = |metric: &&MetricInfo| case.metrics.contains(&metric.schema.name);
    let metrics = experiment.metrics.iter().filter(is_of_case);
    metrics
        .map(|metric| context.row(metric, TOTAL, Status::Unavailable, Some(reason.to_owned())))
        .collect()
}

/// Refuses a measurement with a metric that doesn't belong to the case. Otherwise its value would
/// be lost, because the results have no place for it.
fn check(case: &Case, measurement: Measurement) -> Result<Measurement, MeasureError> {
    let read = measurement.readings.iter().map(|reading| reading.metric);
    let missing = measurement.missing.iter().chain(&measurement.unavailable);
    let unknown = read
        .chain(missing.map(|(metric, _)| *metric))
        .find(|metric| !case.metrics.contains(metric));
    match unknown {
        Some(metric) => Err(MeasureError::UnknownMetric { metric }),
        None => Ok(measurement),
    }
}

/// The measurement of a failed sample: all metrics of the case are missing, with the same reason.
fn all_missing(case: &Case, error: MeasureError) -> Measurement {
    let reason = format!("{:#}", anyhow::Error::new(error));
    let metrics = case.metrics.iter();
    Measurement {
        missing: metrics.map(|metric| (*metric, reason.clone())).collect(),
        ..Measurement::default()
    }
}

/// What all rows of one sample have in common.
struct RowContext<'p> {
    experiment: &'p ExperimentInfo,
    target: &'p str,
    round: u32,
    sequence: u64,
}

impl RowContext<'_> {
    /// A row without a value.
    fn row(
        &self,
        metric: &MetricInfo,
        part: &str,
        status: Status,
        reason: Option<String>,
    ) -> Sample {
        Sample {
            target: self.target.to_owned(),
            experiment: self.experiment.name.to_string(),
            metric: metric.schema.name.to_owned(),
            part: part.to_owned(),
            unit: metric.schema.unit,
            round: self.round,
            sequence: self.sequence,
            value: None,
            status,
            reason,
            latencies: None::<Latencies>,
        }
    }
}

#[cfg(test)]
mod tests {
    use isobench_reports::schema::{memory, start_parts};

    use super::*;
    use crate::experiments::profile::Profile;
    use crate::experiments::{self, Experiment, Reading};

    const FIRST: PlannedSample = PlannedSample {
        experiment: 0,
        case: 0,
        target: 0,
        round: 1,
        is_warmup: false,
    };

    fn reading(metric: &'static str) -> Reading {
        Reading {
            metric,
            part: TOTAL.to_owned(),
            value: 5.0,
            latencies: None,
        }
    }

    fn experiment(name: &str) -> Box<dyn Experiment> {
        let mut all = experiments::all(Profile::Quick).into_iter();
        all.find(|experiment| experiment.info().name == name)
            .unwrap()
    }

    #[test]
    fn a_missing_metric_leaves_the_other_metrics_in_the_results() {
        let memory = &experiment(memory::NAME);
        let measurement = Measurement {
            readings: vec![reading("charge")],
            missing: vec![("pss", "not root".to_owned())],
            ..Measurement::default()
        };
        let rows = rows(memory.info(), "container", &FIRST, 7, Ok(measurement));
        let seen: Vec<_> = rows
            .iter()
            .map(|row| {
                (
                    row.metric.as_str(),
                    row.value,
                    row.status,
                    row.reason.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("charge", Some(5.0), Status::Ok, None),
                ("pss", None, Status::Failed, Some("not root"))
            ]
        );
    }

    #[test]
    fn a_reading_of_an_unknown_metric_fails_the_sample() {
        let memory = &experiment(memory::NAME);
        let measurement = Measurement::from(vec![reading("charge"), reading("weather")]);
        let rows = rows(memory.info(), "container", &FIRST, 0, Ok(measurement));
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!((row.value, row.status), (None, Status::Failed));
            let reason = row.reason.unwrap();
            assert!(reason.contains("`weather`"), "{reason}");
        }
    }

    #[test]
    fn a_failed_sample_has_a_row_for_each_metric_of_its_case() {
        let memory = &experiment(memory::NAME);
        let warmup = PlannedSample {
            is_warmup: true,
            ..FIRST
        };
        let result = Err(MeasureError::Untimed);
        let rows = rows(memory.info(), "container", &warmup, 0, result);
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.status == Status::Failed));
    }

    #[test]
    fn a_failure_of_a_part_names_the_part() {
        let start_parts = experiment(start_parts::NAME);
        let mut cases = start_parts.info().cases.iter();
        let case = cases.position(|case| case.part == "net").unwrap();
        let planned = PlannedSample { case, ..FIRST };
        let result = Err(MeasureError::Untimed);
        let rows = rows(start_parts.info(), "container", &planned, 0, result);
        assert_eq!(rows.len(), 4);
        for row in rows {
            assert_eq!(row.part, "net");
            assert!(row.reason.unwrap().starts_with("net: "));
        }
    }
}
