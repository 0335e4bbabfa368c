//! Figures that can't be true: a whole that is less than its part, a disk that is faster than
//! itself, a clock that steps.

use std::collections::{HashMap, HashSet};

use super::{Doubt, FigureDoubt, RunDoubt};
use crate::figures::name::FigureName;
use crate::figures::summary::{Cell, Column, Section, Summary};
use crate::model::{Metric, MetricFamily, Run, Sign, Status, TOTAL, Target, TargetKind, Unit};

/// A smaller step of the wall clock, in nanoseconds, comes from reading two clocks one after the
/// other.
const CLOCK_STEP: f64 = 1e6;

/// How far a target may be below its floor, and how much faster a disk may be for one target than
/// for another.
const BELOW: f64 = 0.98;
const ABOVE: f64 = 1.05;

/// How far parts may exceed their whole, because clocks are rounded.
const ROUNDING: f64 = 1.005;

/// With fewer equal samples, chance explains that they are equal.
const FEWEST_EQUAL: usize = 5;

pub fn doubts<'a>(summary: &Summary<'a>) -> Vec<Doubt<'a>> {
    let mut doubts = conduct(summary.run);
    for section in &summary.sections {
        for column in &section.columns {
            for cell in &column.cells {
                doubts.extend(below_floor(summary, section, column, cell));
                doubts.extend(above_device(summary, section, column, cell));
                doubts.extend(all_equal(section, column, cell));
            }
        }
    }
    doubts.extend(negative_phases(summary.run));
    doubts
}

fn conduct(run: &Run) -> Vec<Doubt<'_>> {
    let injected = run.conduct.injections.iter().map(|injection| {
        Doubt::Run(RunDoubt::Injected {
            target: &injection.target,
            experiment: &injection.experiment,
            delay: injection.delay_ns as f64,
        })
    });
    let step = run.conduct.clock.map(|clock| {
        let step = i128::from(clock.after_ns) - i128::from(clock.before_ns);
        step as f64
    });
    let stepped = step
        .filter(|step| step.abs() >= CLOCK_STEP)
        .map(|step| Doubt::Run(RunDoubt::ClockStep { step }));
    injected.chain(stepped).collect()
}

fn name<'a>(section: &Section<'a>, metric: &'a Metric, target: &'a Target) -> FigureName<'a> {
    FigureName {
        target: &target.name,
        experiment: &section.experiment.name,
        metric: &metric.name,
    }
}

/// The bare process. Every other target's start does at least what its start does.
fn process(run: &Run) -> Option<&Target> {
    let mut targets = run.targets.iter();
    targets.find(|target| target.kind == TargetKind::Rung(0))
}

fn below_floor<'a>(
    summary: &Summary<'a>,
    section: &Section<'a>,
    column: &Column<'a>,
    cell: &Cell<'a>,
) -> Option<Doubt<'a>> {
    if column.metric.family != MetricFamily::StartTime {
        return None;
    }
    let own = cell.figure()?;
    let named = cell.target.floor.as_deref();
    let floors = named
        .into_iter()
        .chain(process(summary.run).map(|target| target.name.as_str()));
    floors
        .filter(|floor| *floor != cell.target.name)
        .find_map(|floor| {
            let series = &column.figure_of(floor)?.series;
            let interval = own.series.ratio_interval(series)?;
            let ratio = own.series.ratio(series)?;
            let doubt = FigureDoubt::BelowFloor { floor, ratio };
            (interval.high < BELOW)
                .then(|| Doubt::Figure(name(section, column.metric, cell.target), doubt))
        })
}

fn above_device<'a>(
    summary: &Summary<'a>,
    section: &Section<'a>,
    column: &Column<'a>,
    cell: &Cell<'a>,
) -> Option<Doubt<'a>> {
    let metric = column.metric;
    let is_of_device = matches!(
        metric.family,
        MetricFamily::DeviceThroughput | MetricFamily::DeviceRate
    );
    if !is_of_device {
        return None;
    }
    let (own, device) = (
        cell.figure()?,
        &column.figure_of(&process(summary.run)?.name)?.series,
    );
    let interval = own.series.ratio_interval(device)?;
    let doubt = FigureDoubt::AboveDevice {
        ratio: own.series.ratio(device)?,
    };
    (interval.low > ABOVE).then(|| Doubt::Figure(name(section, metric, cell.target), doubt))
}

/// A doubt if all samples are equal. Sizes and counts are left out: sizes come in pages, and a
/// count may be the same each time.
fn all_equal<'a>(section: &Section<'a>, column: &Column<'a>, cell: &Cell<'a>) -> Option<Doubt<'a>> {
    let figure = cell.figure()?;
    let mut values = figure.series.values();
    let first = values.next()?;
    let equal = values.all(|value| value.total_cmp(&first).is_eq());
    let may_be = matches!(column.metric.unit, Unit::Bytes | Unit::Count);
    let suspicious = equal && figure.count >= FEWEST_EQUAL && !may_be;
    let doubt = FigureDoubt::AllEqual {
        samples: figure.count,
    };
    suspicious.then(|| Doubt::Figure(name(section, column.metric, cell.target), doubt))
}

/// The time of one instance as a whole, and the sum of its parts.
#[derive(Default)]
struct Sum {
    whole: Option<f64>,
    parts: f64,
    negative: bool,
}

fn negative_phases(run: &Run) -> Vec<Doubt<'_>> {
    let mut sums: HashMap<(FigureName<'_>, u64), Sum> = HashMap::new();
    let differences = differences(run);
    let good = run.samples.iter().filter(|sample| {
        let metric = (sample.experiment.as_str(), sample.metric.as_str());
        sample.status == Status::Ok && !differences.contains(&metric)
    });
    for sample in good.filter(|sample| sample.unit == Unit::Nanoseconds) {
        let figure = FigureName::of(sample);
        let sum = sums.entry((figure, sample.sequence)).or_default();
        match sample.value {
            Some(value) if sample.part == TOTAL => sum.whole = Some(value),
            Some(value) => {
                sum.parts += value;
                sum.negative |= value < 0.0;
            }
            None => {}
        }
    }
    let mut counts: Vec<(FigureName<'_>, usize)> = Vec::new();
    for ((figure, _), sum) in sums {
        let wrong = |whole: f64| sum.negative || sum.parts > whole * ROUNDING;
        if sum.whole.is_some_and(wrong) {
            match counts.iter_mut().find(|(known, _)| *known == figure) {
                Some((_, count)) => *count += 1,
                None => counts.push((figure, 1)),
            }
        }
    }
    // The order of a map differs from run to run.
    counts.sort();
    let doubt = |(figure, samples)| Doubt::Figure(figure, FigureDoubt::NegativePhase { samples });
    counts.into_iter().map(doubt).collect()
}

/// The metrics whose values, and whose parts, may be below zero.
fn differences(run: &Run) -> HashSet<(&str, &str)> {
    let experiments = run.experiments.iter();
    experiments
        .flat_map(|experiment| {
            let metrics = experiment.metrics.iter();
            metrics
                .filter(|metric| metric.sign == Sign::Any)
                .map(|metric| (experiment.name.as_str(), metric.name.as_str()))
        })
        .collect()
}
