//! What comes of a sample, as rows of the results.

use isobench_reports::model::{Injection, Latencies, Sample, Status, TOTAL};

use crate::experiments::{Case, ExperimentInfo, MeasureError, Measurement, MetricInfo};
use crate::suite::plan::Step;

/// Notes in every row of a delayed sample that a delay was added on purpose.
pub(super) fn stamp(rows: &mut [Sample], injections: &[Injection]) {
    for row in rows {
        let mut own = injections.iter().filter(|injection| {
            (&injection.target, &injection.experiment) == (&row.target, &row.experiment)
        });
        if let Some(injection) = own.next() {
            let stamp = format!("{} ns were added on purpose", injection.delay_ns);
            row.reason = Some(match row.reason.take() {
                Some(reason) => format!("{reason}; {stamp}"),
                None => stamp,
            });
        }
    }
}

/// The rows of one sample: its values, and a failure for each metric that it did not give. A sample
/// with a reading of a metric that its case doesn't have is a failure as a whole.
pub(super) fn rows(
    experiment: &ExperimentInfo,
    target: &str,
    step: &Step,
    sequence: u64,
    outcome: Result<Measurement, MeasureError>,
) -> Vec<Sample> {
    let case = &experiment.cases[step.case];
    let measured = outcome
        .and_then(|measured| check(case, measured))
        .unwrap_or_else(|error| all_missing(case, error));
    let place = Place {
        experiment,
        target,
        round: step.round,
        sequence,
    };
    let (good, note) = if step.warmup {
        (Status::Warmup, Some("taken to warm up".to_owned()))
    } else {
        (Status::Ok, None)
    };
    let metric = |name: &str| experiment.metric(name);
    let values = measured.readings.into_iter().filter_map(|reading| {
        Some(Sample {
            value: Some(reading.value),
            latencies: reading.latencies,
            ..place.row(metric(reading.metric)?, &reading.part, good, note.clone())
        })
    });
    let failures = measured.missing.into_iter().filter_map(|(name, reason)| {
        let reason = match case.part.as_str() {
            TOTAL => reason,
            part => format!("{part}: {reason}"),
        };
        Some(place.row(metric(name)?, &case.part, Status::Failed, Some(reason)))
    });
    values.chain(failures).collect()
}

/// A row for each metric of `case`, which the target can't have.
pub(super) fn unavailable(
    experiment: &ExperimentInfo,
    case: &Case,
    target: &str,
    reason: &str,
) -> Vec<Sample> {
    let place = Place {
        experiment,
        target,
        round: 0,
        sequence: 0,
    };
    let of_case = |metric: &&MetricInfo| case.metrics.contains(&metric.schema.name);
    let metrics = experiment.metrics.iter().filter(of_case);
    metrics
        .map(|metric| place.row(metric, TOTAL, Status::Unavailable, Some(reason.to_owned())))
        .collect()
}

/// Refuses readings and failures of metrics that the case doesn't have: dropped, they would be lost
/// without a word.
fn check(case: &Case, measured: Measurement) -> Result<Measurement, MeasureError> {
    let read = measured.readings.iter().map(|reading| reading.metric);
    let missing = measured.missing.iter().map(|(metric, _)| *metric);
    let unknown = read
        .chain(missing)
        .find(|metric| !case.metrics.contains(metric));
    match unknown {
        Some(metric) => Err(MeasureError::UnknownMetric { metric }),
        None => Ok(measured),
    }
}

/// What a sample gives that failed: every metric of its case is missing for the same reason.
fn all_missing(case: &Case, error: MeasureError) -> Measurement {
    let reason = format!("{:#}", anyhow::Error::new(error));
    let metrics = case.metrics.iter();
    Measurement {
        missing: metrics.map(|metric| (*metric, reason.clone())).collect(),
        ..Measurement::default()
    }
}

/// Where the rows of one sample belong.
struct Place<'p> {
    experiment: &'p ExperimentInfo,
    target: &'p str,
    round: u32,
    sequence: u64,
}

impl Place<'_> {
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
            experiment: self.experiment.name.to_owned(),
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

    fn experiment(name: &str) -> Box<dyn Experiment> {
        let mut all = experiments::all(Profile::Quick).into_iter();
        all.find(|experiment| experiment.info().name == name)
            .unwrap()
    }

    #[test]
    fn a_metric_that_cannot_be_had_spoils_no_other() {
        let memory = &experiment(memory::NAME);
        let step = Step {
            experiment: 0,
            case: 0,
            target: 0,
            round: 3,
            warmup: false,
        };
        let charge = Reading {
            metric: "charge",
            part: TOTAL.to_owned(),
            value: 5.0,
            latencies: None,
        };
        let measured = Measurement {
            readings: vec![charge],
            missing: vec![("pss", "not root".to_owned())],
            ..Measurement::default()
        };
        let rows = rows(memory.info(), "container", &step, 7, Ok(measured));
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
        let step = Step {
            experiment: 0,
            case: 0,
            target: 0,
            round: 0,
            warmup: false,
        };
        let reading = |metric| Reading {
            metric,
            part: TOTAL.to_owned(),
            value: 5.0,
            latencies: None,
        };
        let measured = Measurement::from(vec![reading("charge"), reading("weather")]);
        let rows = rows(memory.info(), "container", &step, 0, Ok(measured));
        assert_eq!(rows.len(), 2);
        for row in rows {
            assert_eq!((row.value, row.status), (None, Status::Failed));
            let reason = row.reason.unwrap();
            assert!(reason.contains("`weather`"), "{reason}");
        }
    }

    #[test]
    fn a_sample_that_failed_has_a_row_for_each_of_its_metrics() {
        let memory = &experiment(memory::NAME);
        let step = Step {
            experiment: 0,
            case: 0,
            target: 0,
            round: 0,
            warmup: true,
        };
        let rows = rows(
            memory.info(),
            "container",
            &step,
            0,
            Err(MeasureError::Untimed),
        );
        assert_eq!(rows.len(), 2);
        assert!(rows.iter().all(|row| row.status == Status::Failed));
    }
    #[test]
    fn a_failure_of_a_part_is_the_part_s() {
        let start_parts = experiment(start_parts::NAME);
        let mut cases = start_parts.info().cases.iter();
        let case = cases.position(|case| case.part == "net").unwrap();
        let step = Step {
            experiment: 0,
            case,
            target: 0,
            round: 1,
            warmup: false,
        };
        let outcome = Err(MeasureError::Untimed);
        let rows = rows(start_parts.info(), "container", &step, 0, outcome);
        let named =
            |row: &Sample| row.part == "net" && row.reason.as_ref().unwrap().starts_with("net: ");
        assert!(rows.len() == 4 && rows.iter().all(named), "{rows:?}");
    }
}
