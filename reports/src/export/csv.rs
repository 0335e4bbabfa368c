//! The tidy table: one row per sample, one per percentile of the latencies of its operations if
//! they were timed, and one per metric that an unavailable target lacks.

use std::io;

use csv::Writer;

use crate::model::{PERCENTILES, Run, Sample, Status, TOTAL, Target, Unit};

/// The columns, in order.
const HEADER: [&str; 10] = [
    "target",
    "experiment",
    "metric",
    "part",
    "unit",
    "round",
    "value",
    "status",
    "reason",
    "sequence",
];

/// Writes every sample of a run. A target that can't run has a row with its reason for each metric.
///
/// # Errors
///
/// If `output` can't be written to.
pub fn write(run: &Run, output: impl io::Write) -> io::Result<()> {
    let mut table = Writer::from_writer(output);
    table.write_record(HEADER)?;
    for sample in &run.samples {
        let value = sample.value.map(|value| value.to_string());
        let (part, unit) = (sample.part.as_str(), sample.unit);
        write_row(sample, part, unit, &value.unwrap_or_default(), &mut table)?;
        for (percent, nanos) in percentiles(sample) {
            let part = format!("latency-p{percent}");
            let value = nanos.to_string();
            write_row(sample, &part, Unit::Nanoseconds, &value, &mut table)?;
        }
    }
    for target in &run.targets {
        write_unavailable(run, target, &mut table)?;
    }
    table.flush()
}

fn percentiles(sample: &Sample) -> impl Iterator<Item = (f64, u64)> + '_ {
    let latencies = sample.latencies.iter();
    let nanos = latencies.flat_map(|latencies| &latencies.nanos);
    PERCENTILES.into_iter().zip(nanos.copied())
}

fn write_row(
    sample: &Sample,
    part: &str,
    unit: Unit,
    value: &str,
    table: &mut Writer<impl io::Write>,
) -> io::Result<()> {
    table.write_record([
        &sample.target,
        &sample.experiment,
        &sample.metric,
        part,
        unit.symbol(),
        &sample.round.to_string(),
        value,
        &sample.status.to_string(),
        sample.reason.as_deref().unwrap_or_default(),
        &sample.sequence.to_string(),
    ])?;
    Ok(())
}

/// Writes a row per metric for a target that can't run, unless the samples have that row.
fn write_unavailable(
    run: &Run,
    target: &Target,
    table: &mut Writer<impl io::Write>,
) -> io::Result<()> {
    let Some(unavailable) = &target.unavailable else {
        return Ok(());
    };
    let status = Status::Unavailable.to_string();
    for experiment in &run.experiments {
        for metric in &experiment.metrics {
            let is_of = |sample: &Sample| {
                (&sample.target, &sample.experiment, &sample.metric)
                    == (&target.name, &experiment.name, &metric.name)
            };
            if run.samples.iter().any(is_of) {
                continue;
            }
            table.write_record([
                &target.name,
                &experiment.name,
                &metric.name,
                TOTAL,
                metric.unit.symbol(),
                "",
                "",
                &status,
                &unavailable.reason,
                "",
            ])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn rows(run: &Run) -> Vec<csv::StringRecord> {
        let mut bytes = Vec::new();
        write(run, &mut bytes).unwrap();
        csv::Reader::from_reader(bytes.as_slice())
            .records()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn the_table_of_a_small_run() {
        let mut run = fixture::run();
        run.samples.retain(|sample| {
            sample.metric == "ready"
                && [0, 4, 5].contains(&sample.round)
                && sample.target == "container"
        });
        run.experiments.truncate(1);
        let mut bytes = Vec::new();
        write(&run, &mut bytes).unwrap();
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap());
    }

    #[test]
    fn each_percentile_of_a_sample_is_a_row_after_it() {
        let mut run = fixture::run();
        fixture::add_latencies(&mut run, 1000);
        let timed = run.samples.iter().find(|one| one.latencies.is_some());
        let timed = timed.unwrap().clone();
        run.experiments.clear();
        run.samples = vec![timed.clone()];
        let rows = rows(&run);
        assert_eq!(rows.len(), 1 + PERCENTILES.len());
        let seen: Vec<_> = [1, 5, 11, 12]
            .map(|row| (&rows[row][3], &rows[row][4]))
            .into();
        let parts = ["latency-p1", "latency-p50", "latency-p99.9", "latency-p100"];
        assert_eq!(seen, parts.map(|part| (part, "ns")));
        let last = *timed.latencies.unwrap().nanos.last().unwrap();
        assert_eq!(&rows[12][6], last.to_string());
    }

    #[test]
    fn every_sample_is_a_row_and_so_is_every_unavailable_metric() {
        let run = fixture::run();
        let rows = rows(&run);
        let metrics: usize = run
            .experiments
            .iter()
            .map(|experiment| experiment.metrics.len())
            .sum();
        assert_eq!(rows.len(), run.samples.len() + metrics);
        let unavailable = rows.iter().filter(|row| &row[7] == "unavailable");
        assert_eq!(unavailable.clone().count(), metrics);
        assert!(
            unavailable
                .clone()
                .all(|row| row[6].is_empty() && row[8].contains("software KVM"))
        );
    }

    #[test]
    fn a_recorded_unavailable_sample_is_not_doubled() {
        let mut run = fixture::run();
        let count = rows(&run).len();
        let mut sample = run.samples[0].clone();
        sample.target = "microvm-linux".to_owned();
        sample.status = Status::Unavailable;
        sample.value = None;
        run.samples.push(sample);
        assert_eq!(rows(&run).len(), count);
    }

    #[test]
    fn text_with_commas_quotes_and_line_ends_comes_back_as_it_was() {
        let mut run = fixture::run();
        let hostile = "a,\"b\"\r\n=c";
        run.samples[0].reason = Some(hostile.to_owned());
        assert_eq!(&rows(&run)[0][8], hostile);
    }
}
