//! How long single operations take: what the percentiles of a figure's samples say together.
//!
//! Percentiles of different samples don't add up to those of all, which the samples no longer hold. So each is a figure of
//! its own: the median of what the samples have at that percentile, with the middle half of them around it.

use crate::model::{PERCENTILES, Run, Sample, Status};
use crate::statistics::quantile;

/// One percentile over the samples of a target, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percentile {
    /// Which one; 100 is the longest.
    pub percent: f64,
    /// A quarter of the samples has less.
    pub lower: f64,
    /// The middle.
    pub median: f64,
    /// A quarter has more.
    pub upper: f64,
}

/// The good samples of an experiment that tell how long their operations took.
pub fn told<'r>(run: &'r Run, experiment: &str) -> Vec<&'r Sample> {
    let tells = |sample: &&Sample| {
        sample.latencies.is_some() && sample.status == Status::Ok && sample.experiment == experiment
    };
    run.samples.iter().filter(tells).collect()
}

/// The percentiles of one metric of one target, ascending, from an experiment's [`told`]; empty if none of them is of it.
pub fn percentiles(told: &[&Sample], metric: &str, target: &str) -> Vec<Percentile> {
    let samples = told
        .iter()
        .filter(|sample| (sample.target.as_str(), sample.metric.as_str()) == (target, metric));
    let told: Vec<_> = samples.filter_map(|one| one.latencies.as_ref()).collect();
    let at = |(place, percent)| {
        let nanos = told.iter().map(|one| Some(one.at(place)? as f64));
        // All or none: samples with fewer operations would bend the curve.
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

/// Whether any sample of the experiment tells how long its operations took.
pub fn is_told(run: &Run, experiment: &str) -> bool {
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
            !is_told(&run, "disk")
                && percentiles(&told(&run, READS.0), READS.1, "process").is_empty()
        );
        fixture::add_latencies(&mut run, 1000);
        assert!(is_told(&run, "disk") && !is_told(&run, "startup"));
        let found = percentiles(&told(&run, READS.0), READS.1, "process");
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
        let found = percentiles(&told(&run, READS.0), READS.1, "process");
        let percents: Vec<f64> = found.iter().map(|one| one.percent).collect();
        assert_eq!(percents, [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 100.0]);
    }
}
