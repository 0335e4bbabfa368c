//! The figures of a run in sentences.

use crate::figures::prices::{self, PriceList, RowKind};
use crate::figures::summary::{Cell, Column, Figure, Section, Summary};
use crate::findings::{failures, timed};
use crate::model::{Better, Metric, Run, Target, TargetKind, Unit};
use crate::schema::{are_of_commands, memory, startup, time};
use crate::words::units;
use crate::words::{Words, capital, unbroken};

/// The findings of a run, a sentence each. An experiment has a sentence if the baseline and another
/// rung have figures. `asked` is the name of the baseline that was asked for. Of a run of another
/// program, the sentence is that isobench draws no conclusion.
pub fn sentences(summary: &Summary<'_>, asked: Option<&str>, words: &Words) -> Vec<String> {
    if summary.run.is_measured_elsewhere() {
        return vec![words.text("finding.elsewhere").to_owned()];
    }
    if let Some(sentences) = failures::sentences(summary, words) {
        return sentences;
    }
    let Some(baseline) = summary.baseline else {
        let wanted = asked.unwrap_or(words.text("finding.bare-process"));
        return vec![words.say("finding.no-baseline", &[("baseline", &wanted)])];
    };
    // What explains commands has no sentence beside those of the commands.
    let is_of_commands = are_of_commands(&summary.run.experiments);
    let sections = summary.sections.iter();
    let told =
        sections.filter(|section| !is_of_commands || time::is_time(&section.experiment.name));
    let sentences: Vec<_> = told
        .flat_map(|section| {
            let is_time = time::is_time(&section.experiment.name);
            let told = section.leading().into_iter().chain(ordinary(section));
            let told = told.filter(move |_| !is_time);
            let told = told.filter_map(|column| sentence(section, column, baseline, words));
            let timed = timed::sentence(section, baseline, words);
            told.chain(timed)
                .chain(dearest(summary.run, section, words))
                .chain(crowd(section, words))
        })
        .collect();
    if sentences.is_empty() {
        return vec![words.say("finding.no-figures", &[("baseline", &baseline.name)])];
    }
    sentences
}

/// The highest prices of each price list, as far as their intervals are above zero.
fn dearest(run: &Run, section: &Section<'_>, words: &Words) -> Vec<String> {
    const MOST: usize = 3;
    let of_list = |list: PriceList<'_>| {
        let unit = list.metrics.first()?.unit;
        let prices = list.rows.iter().filter(|row| row.kind == RowKind::Price);
        let sure = prices.filter_map(|row| {
            let cost = row.costs.first().copied().flatten()?;
            (cost.interval?.low > 0.0).then_some((row.name, cost.value))
        });
        let mut sure: Vec<_> = sure.collect();
        sure.sort_by(|left, right| right.1.total_cmp(&left.1));
        sure.truncate(MOST);
        let phrase = |(name, value): &(&str, f64)| format!("{name} ({})", unbroken(unit, *value));
        let phrases: Vec<String> = sure.iter().map(phrase).collect();
        let target = &list.target.name;
        (!phrases.is_empty()).then(|| {
            words.say(
                "finding.dearest",
                &[("prices", &words.list(&phrases)), ("target", target)],
            )
        })
    };
    let lists = prices::lists(run, section.experiment).into_iter();
    lists.filter_map(of_list).collect()
}

/// How much longer a start takes if most instances start at once than if fewest do, for each rung.
fn crowd(section: &Section<'_>, words: &Words) -> Option<String> {
    let crowds = section.columns.iter().filter(|column| {
        column.metric.at_once.is_some() && column.metric.unit == Unit::Nanoseconds
    });
    let smallest = crowds.clone().min_by_key(|column| column.metric.at_once)?;
    let largest = crowds.max_by_key(|column| column.metric.at_once)?;
    let of_target = |large: &Cell<'_>| {
        let name = &large.target.name;
        let (small, large) = (smallest.figure_of(name)?, large.figure()?);
        let ratio = units::ratio(large.series.ratio(&small.series)?);
        let value = unbroken(largest.metric.unit, large.median);
        Some(words.say(
            "finding.in-with-ratio",
            &[("value", &value), ("target", name), ("ratio", &ratio)],
        ))
    };
    let phrases: Vec<String> = largest
        .cells
        .iter()
        .filter(|cell| matches!(cell.target.kind, TargetKind::Rung(_)))
        .filter_map(of_target)
        .collect();
    let (few, many) = (smallest.metric.at_once?, largest.metric.at_once?);
    (few < many && !phrases.is_empty()).then(|| {
        words.say(
            "finding.crowd",
            &[
                ("many", &many),
                ("few", &few),
                ("costs", &words.list(&phrases)),
            ],
        )
    })
}

/// The start of an ordinary program. It stands beside the start of the least program, since
/// ordinary programs are what users start.
fn ordinary<'s, 'a>(section: &'s Section<'a>) -> Option<&'s Column<'a>> {
    section
        .columns
        .iter()
        .find(|column| column.metric.name == startup::READY_ORDINARY.name)
}

fn sentence(
    section: &Section<'_>,
    column: &Column<'_>,
    baseline: &Target,
    words: &Words,
) -> Option<String> {
    let base = column.figure_of(&baseline.name)?;
    // A cost is added to the baseline's cost; a count stands beside the baseline's count.
    let floor = baseline.kind == TargetKind::Rung(0) && column.metric.unit != Unit::Count;
    let rungs = column
        .cells
        .iter()
        .filter(|cell| matches!(cell.target.kind, TargetKind::Rung(_)))
        .filter(|cell| cell.target.name != baseline.name);
    let phrases: Vec<String> = rungs
        .filter_map(|cell| {
            let figure = cell.figure()?;
            Some(phrase(
                &cell.target.name,
                column.metric,
                (base, figure),
                floor,
                words,
            ))
        })
        .collect();
    if phrases.is_empty() {
        return None;
    }
    let (name, base) = (
        section.experiment.name.as_str(),
        unbroken(column.metric.unit, base.median),
    );
    let text = match (name, column.metric.better) {
        (_, Better::Lower) if !floor => "finding.beside",
        (startup::NAME, _) if column.metric.name == startup::READY_ORDINARY.name => {
            "finding.ordinary"
        }
        (startup::NAME, Better::Lower) => "finding.startup",
        (memory::NAME, Better::Lower) => "finding.memory",
        (_, Better::Lower) => "finding.adds",
        (_, Better::Higher) => "finding.beside",
    };
    let values: [(&str, &dyn std::fmt::Display); 5] = [
        ("experiment", &capital(name)),
        ("metric", &column.metric.title),
        ("base", &base),
        ("baseline", &baseline.name),
        ("costs", &words.list(&phrases)),
    ];
    Some(words.say(text, &values))
}

/// How a target compares with the baseline in one metric: what the target adds if the baseline is a
/// `floor`, else the target's own figure.
fn phrase(
    target: &str,
    metric: &Metric,
    (base, figure): (&Figure<'_>, &Figure<'_>),
    floor: bool,
    words: &Words,
) -> String {
    let ratio = figure.ratio.map(|ratio| units::ratio(ratio.value));
    let added = match metric.better {
        Better::Lower if floor => figure.median - base.median,
        _ => figure.median,
    };
    match (metric.better, figure.is_no_different(), ratio) {
        (Better::Lower, true, _) if floor => {
            words.say("finding.nothing-in", &[("target", &target)])
        }
        (_, true, _) => words.say("finding.no-difference-in", &[("target", &target)]),
        (Better::Higher, false, Some(ratio)) => words.say(
            "finding.of-that-in",
            &[("ratio", &ratio), ("target", &target)],
        ),
        (_, false, ratio) => {
            let value = unbroken(metric.unit, added);
            let values: [(&str, &dyn std::fmt::Display); 3] = [
                ("value", &value),
                ("target", &target),
                ("ratio", &ratio.as_deref().unwrap_or_default()),
            ];
            let text = match ratio {
                Some(_) => "finding.in-with-ratio",
                None => "finding.in",
            };
            words.say(text, &values)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::model::Sample;
    use crate::words::Language;

    fn sentences(summary: &Summary<'_>, asked: Option<&str>) -> Vec<String> {
        super::sentences(summary, asked, &Words::of(Language::English))
    }

    #[test]
    fn sentences_of_a_run() {
        let run = fixture::run();
        insta::assert_snapshot!(sentences(&Summary::of(&run), None).join("\n"));
    }

    #[test]
    fn a_price_list_s_dearest_and_a_crowd_are_told() {
        let mut run = fixture::with_prices();
        fixture::add_crowds(&mut run);
        let told = sentences(&Summary::of(&run), None);
        insta::assert_snapshot!(told[told.len() - 2..].join("\n"));
    }

    #[test]
    fn an_ordinary_program_s_start_is_told_beside_the_least_one_s() {
        let mut run = fixture::run();
        let startup = &mut run.experiments[0];
        let mut ordinary = startup.metrics[0].clone();
        let least = std::mem::replace(&mut ordinary.name, startup::READY_ORDINARY.name.to_owned());
        startup.metrics.push(ordinary);
        let copies: Vec<_> = run
            .samples
            .iter()
            .filter(|sample| sample.metric == least)
            .map(|sample| Sample {
                metric: startup::READY_ORDINARY.name.to_owned(),
                ..sample.clone()
            })
            .collect();
        run.samples.extend(copies);
        let told = sentences(&Summary::of(&run), None);
        assert!(told[0].starts_with("Isolation adds "), "{told:?}");
        assert!(told[1].starts_with("An ordinary program "), "{told:?}");
    }

    #[test]
    fn without_a_baseline_it_says_so() {
        let mut run = fixture::run();
        run.samples.retain(|sample| sample.target != "process");
        let expected = "This run has no figures to compare with process.";
        assert_eq!(sentences(&Summary::of(&run), None), [expected]);
        run.targets.remove(0);
        assert_eq!(
            sentences(&Summary::of(&run), None),
            ["This run has no bare process to compare the others with."]
        );
    }

    #[test]
    fn another_baseline_is_named() {
        let run = fixture::run();
        let told = sentences(
            &Summary::against(&run, Some("container")),
            Some("container"),
        );
        assert!(
            told[0].starts_with("Startup, spawn to ready: 2.47\u{a0}ms in container; "),
            "{told:?}"
        );
        let rest = "610\u{a0}µs in process (0.25×) and 2.20\u{a0}ms in microvm-bare (0.89×).";
        assert!(told[0].ends_with(rest), "{told:?}");
        let none = sentences(&Summary::against(&run, Some("vm")), Some("vm"));
        assert_eq!(none, ["This run has no vm to compare the others with."]);
    }
}
