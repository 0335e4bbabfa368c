//! What a median doesn't show: drift over the run, two peaks, and outliers.

use super::{Doubt, FigureDoubt, RunDoubt};
use crate::figures::name::FigureName;
use crate::figures::summary::{Figure, SIGNIFICANCE, Summary};
use crate::model::Metric;
use crate::statistics::permutation;
use crate::statistics::ranks::{self, Correlation};
use crate::statistics::shape::TwoPeaks;

/// The smallest rank correlation with time that is called drift. A smaller correlation is none,
/// however sure it is.
const LEAST_CORRELATION: f64 = 0.3;

/// A figure with its name and its values in the order of rounds.
struct Named<'s, 'a> {
    name: FigureName<'a>,
    metric: &'a Metric,
    figure: &'s Figure<'a>,
    values: Vec<f64>,
}

pub fn doubts<'a>(summary: &Summary<'a>) -> Vec<Doubt<'a>> {
    let figures = figures(summary);
    let mut doubts: Vec<_> = drift(&figures).into_iter().collect();
    doubts.extend(figures.iter().filter_map(two_peaks));
    doubts.extend(outliers(&figures));
    doubts
}

fn figures<'s, 'a>(summary: &'s Summary<'a>) -> Vec<Named<'s, 'a>> {
    let mut figures = Vec::new();
    for section in &summary.sections {
        for column in &section.columns {
            for cell in &column.cells {
                figures.extend(cell.figure().map(|figure| Named {
                    name: FigureName {
                        target: &cell.target.name,
                        experiment: &section.experiment.name,
                        metric: &column.metric.name,
                    },
                    metric: column.metric,
                    figure,
                    values: figure.series.values().collect(),
                }));
            }
        }
    }
    figures
}

/// A doubt if any figure drifts. All figures are tested, so their p-values are corrected for each
/// other.
fn drift<'a>(figures: &[Named<'_, 'a>]) -> Option<Doubt<'a>> {
    let tested: Vec<(FigureName<'a>, Correlation)> = figures
        .iter()
        .filter_map(|named| Some((named.name, ranks::with_time(&named.values)?)))
        .collect();
    let p_values: Vec<f64> = tested
        .iter()
        .map(|(_, correlation)| correlation.p)
        .collect();
    let corrected = permutation::holm(&p_values);
    let drifting = || {
        let all = tested.iter().zip(&corrected);
        all.filter(|((_, found), p)| {
            **p < SIGNIFICANCE && found.coefficient.abs() >= LEAST_CORRELATION
        })
        .map(|(named, _)| *named)
    };
    let size = |(_, found): &(FigureName<'_>, Correlation)| found.coefficient.abs();
    let (most, correlation) =
        drifting().max_by(|left, right| size(left).total_cmp(&size(right)))?;
    Some(Doubt::Run(RunDoubt::Drift {
        figures: drifting().count(),
        most,
        correlation: correlation.coefficient,
    }))
}

fn two_peaks<'a>(named: &Named<'_, 'a>) -> Option<Doubt<'a>> {
    let doubt = FigureDoubt::TwoPeaks {
        unit: named.metric.unit,
        peaks: TwoPeaks::of(&named.values)?,
    };
    Some(Doubt::Figure(named.name, doubt))
}

fn outliers<'a>(figures: &[Named<'_, 'a>]) -> Option<Doubt<'a>> {
    let sum = |of: fn(&Figure<'_>) -> usize| figures.iter().map(|named| of(named.figure)).sum();
    let all: usize = sum(|figure| figure.outliers.all);
    (all > 0).then(|| {
        Doubt::Run(RunDoubt::Outliers {
            all,
            far: sum(|figure| figure.outliers.far),
            samples: sum(|figure| figure.count),
        })
    })
}
