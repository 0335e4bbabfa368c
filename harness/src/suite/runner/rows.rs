//! What comes of a sample, as rows of the results.

use isobench_reports::model::{Injection, Sample, Status, TOTAL};
use isobench_reports::schema::MetricSchema;

use crate::experiments::{Experiment, MeasureError, Measured, Reading};
use crate::suite::plan::Step;
use crate::targets::TargetInfo;

/// Says of every row that a delay was added to that one was.
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

/// The rows of one sample: its values, and a failure for each metric that it did not give.
pub(super) fn rows(
    experiment: &dyn Experiment,
    target: &str,
    step: &Step,
    sequence: u64,
    outcome: Result<Measured, MeasureError>,
) -> Vec<Sample> {
    let measured = outcome.unwrap_or_else(|error| {
        let reason = format!("{:#}", anyhow::Error::new(error));
        let metrics = experiment.cases().swap_remove(step.case);
        let missing = metrics.into_iter().map(|metric| (metric, reason.clone()));
        Measured {
            missing: missing.collect(),
            ..Measured::default()
        }
    });
    let (good, note) = if step.warmup {
        (Status::Warmup, Some("taken to warm up".to_owned()))
    } else {
        (Status::Ok, None)
    };
    let metrics = experiment.metrics();
    let row = |name: &str, part: String, value, status, reason, latencies| {
        let metric = metrics.iter().find(|metric| metric.name == name)?;
        Some(Sample {
            target: target.to_owned(),
            experiment: experiment.name().to_owned(),
            metric: metric.name.to_owned(),
            part,
            unit: metric.unit,
            round: step.round,
            sequence,
            value,
            status,
            reason,
            latencies,
        })
    };
    let values = measured.readings.into_iter().filter_map(|reading| {
        let value = Some(reading.value);
        let Reading { metric, part, .. } = reading;
        row(metric, part, value, good, note.clone(), reading.latencies)
    });
    let part = experiment.part(step.case);
    let failures = measured.missing.into_iter().filter_map(|(metric, reason)| {
        let reason = match part {
            TOTAL => reason,
            part => format!("{part}: {reason}"),
        };
        let part = part.to_owned();
        row(metric, part, None, Status::Failed, Some(reason), None)
    });
    values.chain(failures).collect()
}

/// A row for each of `metrics`, which `target` can't have.
pub(super) fn unavailable(
    experiment: &dyn Experiment,
    target: &TargetInfo,
    metrics: &[&str],
    reason: &str,
) -> Vec<Sample> {
    let known = experiment.metrics().into_iter();
    let row = |metric: MetricSchema| Sample {
        target: target.name.to_owned(),
        experiment: experiment.name().to_owned(),
        metric: metric.name.to_owned(),
        part: TOTAL.to_owned(),
        unit: metric.unit,
        round: 0,
        sequence: 0,
        value: None,
        status: Status::Unavailable,
        reason: Some(reason.to_owned()),
        latencies: None,
    };
    known
        .filter(|metric| metrics.contains(&metric.name))
        .map(row)
        .collect()
}

#[cfg(test)]
mod tests {
    use isobench_reports::schema::{memory, start_parts};

    use super::*;
    use crate::experiments;
    use crate::experiments::profile::Profile;

    fn experiment(name: &str) -> Box<dyn Experiment> {
        let mut all = experiments::all(Profile::Quick).into_iter();
        all.find(|experiment| experiment.name() == name).unwrap()
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
        let measured = Measured {
            readings: vec![charge],
            missing: vec![("pss", "not root".to_owned())],
            ..Measured::default()
        };
        let rows = rows(memory.as_ref(), "container", &step, 7, Ok(measured));
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
            memory.as_ref(),
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
        let mut cases = 0..start_parts.cases().len();
        let case = cases.find(|case| start_parts.part(*case) == "net").unwrap();
        let step = Step {
            experiment: 0,
            case,
            target: 0,
            round: 1,
            warmup: false,
        };
        let outcome = Err(MeasureError::Untimed);
        let rows = rows(start_parts.as_ref(), "container", &step, 0, outcome);
        let named =
            |row: &Sample| row.part == "net" && row.reason.as_ref().unwrap().starts_with("net: ");
        assert!(rows.len() == 4 && rows.iter().all(named), "{rows:?}");
    }
}
