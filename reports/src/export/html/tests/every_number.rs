//! Every number with a unit that the document has as text follows from the CSV files, by the
//! arithmetic of this test: a median, a difference or a ratio of medians, a part of a whole, a sum,
//! or an interval. Numbers that no CSV file has are taken from elsewhere: the percentiles of single
//! operations from the results, and the intervals of prices from the price list.

use std::collections::{HashMap, HashSet};

use regex::Regex;

use super::numbers::{middle, tidy};
use super::*;
use crate::FORMATS;
use crate::figures::prices;
use crate::model::{Sample, Status, TOTAL, Unit};
use crate::words::units::{self, Scale};

/// A number with its unit; in an interval there is another number before "to", with the same unit.
const NUMBER: &str = r"(?:([\d,]*\.?\d+) to [+-]?)?([\d,]*\.?\d+) ?(ns|µs|ms|s|B|KiB|MiB|GiB|kB/s|MB/s|GB/s|/s|×|%)(?:[^\w/]|$)";

/// The phases in which the synthetic run makes a virtual machine, before anything runs in it.
const VIRTUALIZATION: [&str; 2] = ["memory", "vcpu"];

/// A run with an experiment of each kind.
fn with_all() -> Run {
    let mut run = fixture::with_prices();
    fixture::add_crowds(&mut run);
    fixture::add_density(&mut run);
    fixture::add_image(&mut run);
    fixture::add_isolation(&mut run);
    fixture::add_latencies(&mut run, 400);
    fixture::add_time(&mut run);
    fixture::add_burst(&mut run);
    run
}

/// The text that a reader sees, without the plots, whose axes have numbers of their own.
fn read(document: &str) -> String {
    let unseen = Regex::new(r"(?s)<(svg|style|script|head)\b.*?</(svg|style|script|head)>");
    let text = unseen.unwrap().replace_all(document, " ");
    let text = Regex::new(r"<[^>]*>").unwrap().replace_all(&text, "");
    text.replace(['\u{a0}', '\u{202f}'], " ")
}

/// The numbers of a text, each with the words before it.
fn numbers(text: &str) -> Vec<(String, &str)> {
    let number = Regex::new(NUMBER).unwrap();
    let mut numbers = Vec::new();
    for found in number.captures_iter(text) {
        let place = found.get(0).unwrap();
        let before = text[..place.start()].char_indices();
        let start = before.rev().nth(60).map_or(0, |(start, _)| start);
        for digits in [found.get(1), found.get(2)].into_iter().flatten() {
            let number = format!("{} {}", digits.as_str(), &found[3]);
            numbers.push((number, &text[start..place.end()]));
        }
    }
    numbers
}

#[test]
fn every_number_that_is_told_follows_from_the_csvs() {
    let run = with_all();
    let document = render(std::slice::from_ref(&run), None).unwrap();
    let known = Known::of(&run);
    // Numbers in the texts of the results, and in the texts that every report has.
    let given = serde_json::to_string(&run).unwrap() + include_str!("../../../../words/en.toml");
    let text = read(&document);
    let told = numbers(&text).into_iter();
    let mut checked = 0;
    for (number, place) in told.filter(|(number, _)| !given.contains(number.as_str())) {
        assert!(known.0.contains(&number), "{number}: …{place}");
        checked += 1;
    }
    assert!(checked > 500, "{checked}");
}

#[test]
fn a_number_of_another_run_is_found() {
    let mut other = with_all();
    let own = Known::of(&other);
    for sample in &mut other.samples {
        sample.value = sample.value.map(|value| value * 1.37);
    }
    let document = render(std::slice::from_ref(&other), None).unwrap();
    let (mut times, mut wrong) = (0, 0);
    for (number, _) in numbers(&read(&document)) {
        let is_time = ["ns", "µs", "ms"].iter().any(|unit| number.ends_with(unit));
        times += u32::from(is_time);
        wrong += u32::from(is_time && !own.0.contains(&number));
    }
    assert!(
        wrong * 4 > times * 3,
        "only {wrong} of {times} would be found"
    );
}

/// All numbers that the document may have.
#[derive(Default)]
struct Known(HashSet<String>);

impl Known {
    fn of(run: &Run) -> Self {
        let mut known = Self::default();
        known.medians(run);
        for baseline in ["process", "container"] {
            known.intervals(run, baseline);
        }
        known.price_lists(run);
        known.latencies(&run.samples);
        known.value(Unit::Nanoseconds, run.duration_seconds * 1e9);
        known
    }

    /// Adds the medians, and what follows from two or more of them.
    fn medians(&mut self, run: &Run) {
        let table = tidy(run);
        let of = |target: &str, experiment: &str, metric: &str, part: &str| {
            let key = [target, experiment, metric, part].map(str::to_owned);
            table.get(&key).map(|values| middle(values))
        };
        for ([target, experiment, metric, part], values) in &table {
            let (unit, median) = (unit(run, experiment, metric), middle(values));
            self.value(unit, median);
            for other in run.targets.iter().filter(|other| other.name != *target) {
                if let Some(other) = of(&other.name, experiment, metric, part) {
                    self.value(unit, median - other);
                    self.ratio(median / other);
                }
            }
            if let Some(whole) = of(target, experiment, metric, TOTAL) {
                self.share(median / whole);
            }
            // Numbers for more instances at once, or for copies of a shared base.
            let declared = run.experiments.iter().find(|one| one.name == *experiment);
            for other in &declared.unwrap().metrics {
                if let Some(other) = of(target, experiment, &other.name, TOTAL) {
                    self.ratio(median / other);
                    if metric.ends_with("-100") {
                        self.value(unit, (median - other) / 99.0);
                    }
                }
            }
        }
        let starts = |part: &str| {
            let key = ["microvm-bare", "startup", "ready", part].map(str::to_owned);
            table[&key].as_slice()
        };
        let parts = VIRTUALIZATION.map(|part| typical(starts(part), starts(TOTAL)));
        self.value(Unit::Nanoseconds, parts.iter().sum());
    }

    fn intervals(&mut self, run: &Run, baseline: &str) {
        let runs = std::slice::from_ref(run);
        let csv = FORMATS.iter().find(|format| format.name == "csv").unwrap();
        let csv = csv.figures(runs, Some(baseline)).unwrap();
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        for row in reader.deserialize::<HashMap<String, String>>() {
            let row = row.unwrap();
            let unit = unit(run, &row["experiment"], &row["metric"]);
            let of_tails = ["p95", "p95_low", "p95_high", "p99", "p99_low", "p99_high"];
            for column in ["low", "high", "resolution"].into_iter().chain(of_tails) {
                if let Ok(value) = row[column].parse() {
                    self.value(unit, value);
                }
            }
            for column in ["success", "success_low", "success_high"] {
                if let Ok(share) = row[column].parse() {
                    self.0.insert(units::share(share));
                }
            }
            for column in ["ratio_low", "ratio_high"] {
                if let Ok(end) = row[column].parse() {
                    self.ratio(end);
                }
            }
        }
    }

    /// Adds the prices, which are differences of medians, and what the prices leave of the whole.
    fn price_lists(&mut self, run: &Run) {
        let table = tidy(run);
        let lists = run.experiments.iter();
        for list in lists.flat_map(|experiment| prices::lists(run, experiment)) {
            for (place, metric) in list.metrics.iter().enumerate() {
                let of = |part: &str| {
                    let names = [&list.target.name, fixture::PRICES, &metric.name, part];
                    table
                        .get(&names.map(str::to_owned))
                        .map(|values| middle(values))
                };
                let mut rest = of(TOTAL).unwrap();
                for part in &metric.parts {
                    let base = part.base.as_deref().and_then(of).unwrap_or(0.0);
                    let price = of(&part.name).unwrap() - base;
                    self.value(metric.unit, price);
                    let has_base = part.base.as_deref().is_some_and(|base| base != TOTAL);
                    let counts = has_base || part.name == metric.parts[0].name;
                    rest -= if counts { price } else { 0.0 };
                }
                self.value(metric.unit, rest);
                let costs = list.rows.iter().filter_map(|row| row.costs[place]);
                for interval in costs.filter_map(|cost| cost.interval) {
                    self.value(metric.unit, interval.low);
                    self.value(metric.unit, interval.high);
                }
            }
        }
    }

    fn latencies(&mut self, samples: &[Sample]) {
        let mut at: HashMap<_, Vec<f64>> = HashMap::new();
        for sample in samples.iter().filter(|one| one.status == Status::Ok) {
            for (place, nanos) in sample
                .latencies
                .iter()
                .flat_map(|one| one.nanos.iter().enumerate())
            {
                let key = (&sample.target, &sample.experiment, &sample.metric, place);
                at.entry(key).or_default().push(*nanos as f64);
            }
        }
        for nanos in at.values() {
            self.value(Unit::Nanoseconds, middle(nanos));
        }
    }

    /// Adds a value in each unit: the ends of an interval are written in the unit of its middle.
    fn value(&mut self, unit: Unit, value: f64) {
        for scale in [2.0, 2e3, 2e6, 2e9].map(|size| Scale::of(unit, size)) {
            let number = scale.number(value.abs());
            self.0.insert(format!("{number} {}", scale.symbol));
        }
    }

    fn ratio(&mut self, ratio: f64) {
        self.0.insert(units::ratio(ratio).replace('×', " ×"));
    }

    fn share(&mut self, share: f64) {
        self.0.insert(units::part(share));
    }
}

/// The part's share of the median whole in the middle half of the samples.
fn typical(part: &[f64], whole: &[f64]) -> f64 {
    let mut pairs: Vec<_> = whole.iter().zip(part).collect();
    pairs.sort_by(|left, right| left.0.total_cmp(right.0));
    let quarter = pairs.len() / 4;
    let middle_half = &pairs[quarter..pairs.len() - quarter];
    let share = middle_half.iter().map(|pair| pair.1).sum::<f64>()
        / middle_half.iter().map(|pair| pair.0).sum::<f64>();
    middle(whole) * share
}

fn unit(run: &Run, experiment: &str, metric: &str) -> Unit {
    let mut experiments = run.experiments.iter();
    let experiment = experiments.find(|one| one.name == experiment).unwrap();
    let mut metrics = experiment.metrics.iter();
    metrics.find(|one| one.name == metric).unwrap().unit
}
