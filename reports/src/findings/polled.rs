//! Which times were polled, and with which period.

use crate::figures::summary::Section;
use crate::model::Metric;
use crate::words::{Words, units};

/// A sentence for each metric of a section that was polled.
pub fn notes(section: &Section<'_>, words: &Words) -> Vec<String> {
    let metrics = section.columns.iter().map(|column| column.metric);
    let notes = metrics.filter_map(|metric| note(metric, words));
    notes.collect()
}

fn note(metric: &Metric, words: &Words) -> Option<String> {
    let period = units::value(metric.unit, metric.resolution?);
    let values: [(&str, &dyn std::fmt::Display); 2] =
        [("metric", &metric.title), ("period", &period)];
    Some(words.say("tails.polled", &values))
}
