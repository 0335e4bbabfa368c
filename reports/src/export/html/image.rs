//! The disk and the page cache against the number of instances, with a chart for each way of
//! sharing.

use super::figure::{FigureView, by_number};
use crate::chart::{ChartError, curves};
use crate::figures::summary::{Column, Summary};
use crate::model::MetricFamily;
use crate::words::Words;

/// Each family of metrics with the title of its chart.
const FAMILIES: [(MetricFamily, &str); 4] = [
    (MetricFamily::DiskSpaceShared, "image.disk-shared"),
    (MetricFamily::DiskSpaceCopied, "image.disk-copies"),
    (MetricFamily::PageCacheShared, "image.cache-shared"),
    (MetricFamily::PageCacheCopied, "image.cache-copies"),
];

/// Draws the `columns`, each for another number of instances, with a chart for each family of
/// metrics.
pub fn figures(
    summary: &Summary<'_>,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<Vec<FigureView>, ChartError> {
    let mut figures = Vec::new();
    for (family, title) in FAMILIES {
        let of_family = |column: &&&Column<'_>| column.metric.family == family;
        let columns: Vec<_> = columns.iter().filter(of_family).copied().collect();
        let chart = curves::render_ran(summary.run, &columns, words)?;
        figures.extend(chart.map(|chart| FigureView {
            title: words.text(title).to_owned(),
            chart,
            logarithmic: None,
            caption: words.text("image.caption").to_owned(),
            legend: by_number(summary, &columns, words),
        }));
    }
    Ok(figures)
}
