//! How long single operations took: the percentiles of a figure's samples.
//!
//! The percentiles of several samples don't add up to the percentiles of all operations, which the
//! samples no longer hold. So each percentile is a figure of its own: the median of what the
//! samples have at that percentile, with the middle half of the samples around it.

use crate::model::{PERCENTILES, Run, Sample, Status};
use crate::statistics::quantile;

/// One percentile over the samples of a target, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile {
    /// The percentile; 100 is the longest operation.
    pub percent: f64,
    /// A quarter of the samples lie below this latency.
    pub lower: f64,
    /// The median of the samples.
    pub median: f64,
    /// A quarter of the samples lie above this latency.
    pub upper: f64,
}

/// The good samples of an experiment that hold latencies of single operations.
pub fn timed_samples<'r>(run: &'r Run, experiment: &str) -> Vec<&'r Sample> {
    let is_timed = |sample: &&Sample| {
        sample.latencies.is_some() && sample.status == Status::Ok && sample.experiment == experiment
    };
    run.samples.iter().filter(is_timed).collect()
}

/// The percentiles of one metric of one target, ascending, from an experiment's [`timed_samples`];
/// empty if none of these is of that metric and target.
pub fn percentiles(samples: &[&Sample], metric: &str, target: &str) -> Vec<Percentile> {
    let samples = samples
        .iter()
        .filter(|sample| (sample.target.as_str(), sample.metric.as_str()) == (target, metric));
    let latencies: Vec<_> = samples
        .filter_map(|sample| sample.latencies.as_ref())
        .collect();
    let at = |(place, percent)| {
        let nanos = latencies.iter().map(|one| Some(one.at(place)? as f64));
        // All samples or none: a sample with fewer operations would bend the curve.
        let mut nanos: Vec<f64> = nanos.collect::<Option<_>>()?;
        nanos.sort_by(f64::total_cmp);
        Some(Percentile {
            percent,
            lower: quantile(&nanos, 250)?,
            median: quantile(&nanos, 500)?,
            upper: quantile(&nanos, 750)?,
        })
    };
    PERCENTILES.into_iter().enumerate().filter_map(at).collect()
}

/// Whether any sample of the experiment holds latencies of single operations.
pub fn has_latencies(run: &Run, experiment: &str) -> bool {
    let mut samples = run.samples.iter();
    samples.any(|sample| sample.experiment == experiment && sample.latencies.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    const READS: (&str, &str) = ("disk", "rand-read-direct");

    #[test]
    fn each_percentile_is_the_median_of_the_samples_good_ones() {
        let mut run = fixture::run();
        assert!(
            !has_latencies(&run, "disk")
                && percentiles(&timed_samples(&run, READS.0), READS.1, "process").is_empty()
        );
        fixture::add_latencies(&mut run, 1000);
        assert!(has_latencies(&run, "disk") && !has_latencies(&run, "startup"));
        let found = percentiles(&timed_samples(&run, READS.0), READS.1, "process");
        assert_eq!(found.len(), PERCENTILES.len());
        let samples = run.samples.iter().filter(|one| {
            (one.target.as_str(), one.metric.as_str()) == ("process", READS.1)
                && one.status == Status::Ok
        });
        let mut middles: Vec<u64> = samples
            .map(|one| one.latencies.as_ref().unwrap().nanos[4])
            .collect();
        middles.sort_unstable();
        let middle = middles[middles.len() / 2] as f64;
        assert!((found[4].percent - 50.0).abs() < 1e-9);
        assert!((found[4].median - middle).abs() < 1e-9);
        assert!(found.is_sorted_by_key(|one| one.median));
    }

    #[test]
    fn one_sample_of_few_operations_takes_the_far_percentiles_from_all() {
        let mut run = fixture::run();
        fixture::add_latencies(&mut run, 1000);
        let mut samples = run.samples.iter_mut();
        let short = samples.find(|one| {
            one.target == "process" && one.latencies.is_some() && one.status == Status::Ok
        });
        short.unwrap().latencies.as_mut().unwrap().count = 10;
        let found = percentiles(&timed_samples(&run, READS.0), READS.1, "process");
        let percents: Vec<f64> = found.iter().map(|one| one.percent).collect();
        assert_eq!(percents, [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 100.0]);
    }
}
