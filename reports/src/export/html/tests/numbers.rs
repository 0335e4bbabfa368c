//! Every number of the document's tables against the tidy table, by the arithmetic of this test.

use std::collections::HashMap;

use super::*;
use crate::model::{TOTAL, Unit};
use crate::words::{capital, units};

/// The values of the tidy table that count, by target, experiment, metric and part.
pub type Table = HashMap<[String; 4], Vec<f64>>;

pub fn tidy(run: &Run) -> Table {
    let mut bytes = Vec::new();
    crate::write_csv(run, &mut bytes).unwrap();
    let mut table = Table::new();
    for row in csv::Reader::from_reader(bytes.as_slice()).records() {
        let row = row.unwrap();
        if &row[7] == "ok" {
            let key = [0, 1, 2, 3].map(|column| row[column].to_owned());
            table.entry(key).or_default().push(row[6].parse().unwrap());
        }
    }
    table
}

pub fn middle(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        f64::midpoint(sorted[half - 1], sorted[half])
    }
}

fn between<'d>(text: &'d str, from: &str, to: &str) -> Option<&'d str> {
    Some(text.split_once(from)?.1.split_once(to)?.0)
}

/// The cells of the document's tables: target, column, and the texts of median, ratio and count.
fn told(document: &str) -> Vec<[String; 5]> {
    let mut told = Vec::new();
    for row in document.split("<tr><th scope=\"row\">").skip(1) {
        let row = row.split_once("</tr>").unwrap().0;
        let name = between(row, "</span>", " <span class=\"place\"").unwrap_or_default();
        for cell in row.split("<td data-column=\"").skip(1) {
            let column = cell.split_once('"').unwrap().0;
            let text = |from, to| between(cell, from, to).unwrap_or_default().to_owned();
            let ratio = text("<span class=\"ratio\">", "</span>");
            let count = text("class=\"count\">", "</small>");
            told.push([
                name.to_owned(),
                column.to_owned(),
                text("<b>", "</b>"),
                ratio,
                count,
            ]);
        }
    }
    told
}

#[test]
fn every_figure_of_the_tables_is_that_of_the_tidy_table() {
    let run = fixture::run();
    let (table, document) = (
        tidy(&run),
        render(std::slice::from_ref(&run), None).unwrap(),
    );
    let of = |target: &str, experiment: &str, metric: &str| {
        let key = [target, experiment, metric, TOTAL].map(str::to_owned);
        table.get(&key)
    };
    let mut checked = 0;
    for [target, column, median, ratio, count] in told(&document) {
        for experiment in &run.experiments {
            let named = experiment.metrics.iter().find(|metric| {
                let lead = format!("{}: {}", capital(&experiment.name), metric.title);
                column == metric.title || column == lead
            });
            let Some(metric) = named else { continue };
            let Some(values) = of(&target, &experiment.name, &metric.name) else {
                assert_eq!(median, "", "{target} {column}");
                continue;
            };
            assert_eq!(
                median,
                units::value(metric.unit, middle(values)),
                "{target} {column}"
            );
            let base = middle(of("process", &experiment.name, &metric.name).unwrap());
            if target != "process" {
                let expected = units::ratio(middle(values) / base);
                assert_eq!(ratio, expected, "{target} {column}");
            }
            if !count.is_empty() {
                let samples = format!("{} samples", values.len());
                assert!(count.starts_with(&samples), "{target} {column}: {count}");
            }
            checked += 1;
        }
    }
    // Each of the 36 measured figures is checked at least once.
    assert!(checked > 36, "{checked}");
}

#[test]
fn the_verdict_and_the_legends_say_the_same() {
    let run = fixture::run();
    let (table, document) = (
        tidy(&run),
        render(std::slice::from_ref(&run), None).unwrap(),
    );
    let median = |target: &str, experiment: &str, metric: &str, part: &str| {
        let key = [target, experiment, metric, part].map(str::to_owned);
        middle(&table[&key])
    };
    let heading = between(&document, "<h1>", "</h1>")
        .unwrap()
        .replace('\u{a0}', " ");
    for target in ["container", "microvm-bare"] {
        for (experiment, metric, unit) in [
            ("startup", "ready", Unit::Nanoseconds),
            ("memory", "overhead", Unit::Bytes),
        ] {
            let added = median(target, experiment, metric, TOTAL)
                - median("process", experiment, metric, TOTAL);
            let text = format!("+{}", units::value(unit, added));
            assert!(heading.contains(&text), "{heading}: {text}");
        }
    }
    for part in ["clone", "mounts", "seccomp"] {
        let value = units::value(
            Unit::Nanoseconds,
            median("container", "startup", "ready", part),
        );
        let item = between(&document, &format!("</span>{part}</dt>"), "</div>").unwrap();
        assert!(
            item.contains(&format!("container <b>{value}</b>")),
            "{item}"
        );
    }
}
