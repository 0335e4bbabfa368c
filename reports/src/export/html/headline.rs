//! What a run says, in sentences computed from its figures.

use crate::model::{Better, Metric, Target, TargetKind, Unit};
use crate::summary::{Column, Figure, Section, Summary};
use crate::units;

/// The metric of an ordinary program's start.
const ORDINARY: &str = "ready-ordinary";

/// One sentence per experiment that the baseline and some other rung have figures for.
pub fn sentences(summary: &Summary<'_>) -> Vec<String> {
    let Some(baseline) = summary.baseline else {
        return vec!["This run has no bare process to hold the others against.".to_owned()];
    };
    let sentences: Vec<_> = summary
        .sections
        .iter()
        .flat_map(|section| {
            let told = section.leading().into_iter().chain(ordinary(section));
            told.filter_map(|column| sentence(section, column, baseline))
        })
        .collect();
    if sentences.is_empty() {
        return vec![format!(
            "This run has no figures that could be held against {}.",
            baseline.name
        )];
    }
    sentences
}

/// The start of an ordinary program, which must not stay behind that of the least one: it's what users will see.
fn ordinary<'s, 'a>(section: &'s Section<'a>) -> Option<&'s Column<'a>> {
    section
        .columns
        .iter()
        .find(|column| column.metric.name == ORDINARY)
}

fn sentence(section: &Section<'_>, column: &Column<'_>, baseline: &Target) -> Option<String> {
    let base = column.figure_of(&baseline.name)?;
    let rungs = column
        .cells
        .iter()
        .filter(|cell| matches!(cell.target.kind, TargetKind::Rung(1..)));
    let phrases: Vec<String> = rungs
        .filter_map(|cell| {
            Some(phrase(
                &cell.target.name,
                column.metric,
                base,
                cell.figure()?,
            ))
        })
        .collect();
    if phrases.is_empty() {
        return None;
    }
    let (name, base) = (
        section.experiment.name.as_str(),
        together(column.metric.unit, base.median),
    );
    let (title, costs) = (&column.metric.title, join(&phrases));
    Some(match (name, column.metric.better) {
        ("startup", _) if column.metric.name == ORDINARY => format!(
            "An ordinary program starts its C library first: it takes {base} as a bare process, and isolation adds {costs}."
        ),
        ("startup", Better::Lower) => {
            format!("Isolation adds {costs} to the {base} in which a bare process starts.")
        }
        ("memory", Better::Lower) => {
            format!(
                "It adds {costs} to the {base} that an idle process takes beyond what its program touches."
            )
        }
        (_, Better::Lower) => format!(
            "{}, {title}: it adds {costs} to the {base} of {}.",
            capital(name),
            baseline.name
        ),
        (_, Better::Higher) => format!(
            "{}, {title}: {base} in {}; {costs}.",
            capital(name),
            baseline.name
        ),
    })
}

/// How a target stands to the baseline in one metric.
fn phrase(target: &str, metric: &Metric, base: &Figure<'_>, figure: &Figure<'_>) -> String {
    let ratio = figure.ratio.map(|ratio| units::ratio(ratio.value));
    let difference = figure.median - base.median;
    match (metric.better, is_equal(figure), ratio) {
        (Better::Higher, true, _) => format!("no measurable difference in {target}"),
        (Better::Lower, true, _) => format!("nothing measurable in {target}"),
        (Better::Higher, false, Some(ratio)) => format!("{ratio} of that in {target}"),
        (_, false, ratio) => {
            let ratio = ratio.map(|ratio| format!(" ({ratio})")).unwrap_or_default();
            format!("{} in {target}{ratio}", together(metric.unit, difference))
        }
    }
}

/// Whether a figure may as well be the baseline's.
fn is_equal(figure: &Figure<'_>) -> bool {
    let interval = figure.ratio.and_then(|ratio| ratio.interval);
    interval.is_some_and(|interval| interval.low <= 1.0 && interval.high >= 1.0)
}

/// A value that no line end comes into.
fn together(unit: Unit, value: f64) -> String {
    units::value(unit, value).replace(' ', "\u{a0}")
}

fn join(phrases: &[String]) -> String {
    match phrases {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A name with a capital, as a title.
pub fn capital(name: &str) -> String {
    let mut characters = name.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::model::Sample;

    #[test]
    fn sentences_of_a_run() {
        let run = fixture::run();
        insta::assert_snapshot!(sentences(&Summary::of(&run)).join("\n"));
    }

    #[test]
    fn an_ordinary_program_s_start_is_told_beside_the_least_one_s() {
        let mut run = fixture::run();
        let startup = &mut run.experiments[0];
        let mut ordinary = startup.metrics[0].clone();
        let least = std::mem::replace(&mut ordinary.name, ORDINARY.to_owned());
        startup.metrics.push(ordinary);
        let copies: Vec<_> = run
            .samples
            .iter()
            .filter(|sample| sample.metric == least)
            .map(|sample| Sample {
                metric: ORDINARY.to_owned(),
                ..sample.clone()
            })
            .collect();
        run.samples.extend(copies);
        let told = sentences(&Summary::of(&run));
        assert!(told[0].starts_with("Isolation adds "), "{told:?}");
        assert!(told[1].starts_with("An ordinary program "), "{told:?}");
    }

    #[test]
    fn without_a_baseline_it_says_so() {
        let mut run = fixture::run();
        run.samples.retain(|sample| sample.target != "process");
        let expected = "This run has no figures that could be held against process.";
        assert_eq!(sentences(&Summary::of(&run)), [expected]);
        run.targets.remove(0);
        assert_eq!(
            sentences(&Summary::of(&run)),
            ["This run has no bare process to hold the others against."]
        );
    }
}
