//! What instances take on the disk and in the page cache, against their number: a figure for each way of sharing.

use super::figures::{FigureView, by_number};
use crate::chart::{ChartError, curves};
use crate::image::Family;
use crate::summary::{Column, Summary};
use crate::words::Words;

/// Draws the `columns`, each for another number of instances, those of a family together.
pub fn figures(
    summary: &Summary<'_>,
    columns: &[&Column<'_>],
    words: &Words,
) -> Result<Vec<FigureView>, ChartError> {
    let mut figures = Vec::new();
    for family in Family::ALL {
        let of_family = |column: &&&Column<'_>| Family::of(&column.metric.name) == Some(family);
        let columns: Vec<_> = columns.iter().filter(of_family).copied().collect();
        let chart = curves::render_ran(summary.run, &columns, words)?;
        let title = match family {
            Family::DiskShared => "image.disk-shared",
            Family::DiskCopies => "image.disk-copies",
            Family::CacheShared => "image.cache-shared",
            Family::CacheCopies => "image.cache-copies",
        };
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
