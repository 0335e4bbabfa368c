//! Claims 8 and 9: how much of the disk a virtual machine takes, and what layers share.

use std::fmt::Display;

use super::evidence::{Answer, Evidence, Limit, Standing, TargetFigure, container_of, machines_of};
use super::quote::Quote;
use super::{Finding, Verdict};
use crate::figures::summary::Figure;
use crate::model::{MetricFamily, TargetFamily, Unit};
use crate::schema::image::{self, BASE, ONE};
use crate::words::unbroken;

/// From this number of bytes on, something takes tens of gigabytes.
const TENS_OF_GIGABYTES: f64 = 10e9;

/// What a number of instances take in one place, the disk or the page cache: with one base for all,
/// and with a copy for each.
struct Ways<'s, 'a> {
    count: u32,
    shared: &'s Figure<'a>,
    copies: &'s Figure<'a>,
}

/// The families of metrics of each place.
const DISK: [MetricFamily; 2] = [MetricFamily::DiskSpaceShared, MetricFamily::DiskSpaceCopied];
const CACHE: [MetricFamily; 2] = [MetricFamily::PageCacheShared, MetricFamily::PageCacheCopied];

/// Claim 8: a virtual machine holds a whole operating system, and takes tens of gigabytes.
pub fn size(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence
        .column(image::NAME, ONE)
        .filter(|column| column.has_figures())
    else {
        return evidence.without_experiment(image::NAME);
    };
    let machines = machines_of(column);
    let Some(last) = machines.last() else {
        return evidence.without_targets(TargetFamily::is_machine, "side.machine");
    };
    let tens = machines
        .iter()
        .map(|machine| Limit::of(TENS_OF_GIGABYTES, machine.figure));
    let tens: Vec<Limit> = tens.collect();
    let some = |limit| tens.contains(&limit);
    let (verdict, because) = match (
        some(Limit::Reached),
        some(Limit::NotReached),
        some(Limit::Unclear),
    ) {
        (true, true, _) => (Verdict::Depends, evidence.words.text("depends.machine")),
        (_, _, true) => (Verdict::Undecided, evidence.words.text("undecided.wide")),
        (true, false, false) => (Verdict::Supported, ""),
        (false, _, false) => (Verdict::Refuted, ""),
    };
    let quoted = machines
        .iter()
        .map(|machine| evidence.quote(Unit::Bytes, machine));
    let nuance = [
        evidence.dominant(Unit::Bytes, last),
        stand_in(evidence, last),
    ];
    Finding {
        verdict,
        because: because.to_owned(),
        figures: quoted.collect(),
        nuance: nuance.into_iter().flatten().collect(),
        wanted: wanted(evidence, verdict),
        experiment: Some(image::NAME),
    }
}

/// What the base stands for, and how many copies of the base there would be.
fn stand_in(evidence: &Evidence<'_, '_>, machine: &TargetFigure<'_, '_>) -> Option<String> {
    let mut parts = machine.figure.parts.iter();
    let base = parts.find(|part| part.name == BASE)?;
    let ways = ways(evidence, &machine.target.name, DISK)?;
    let bytes = |value| unbroken(Unit::Bytes, value);
    Some(evidence.words.say(
        "nuance.stand-in",
        &[
            ("base", &bytes(base.typical)),
            ("count", &ways.count),
            ("target", &machine.target.name),
            ("shared", &bytes(ways.shared.median)),
            ("copies", &bytes(ways.copies.median)),
        ],
    ))
}

/// Claim 9: layered storage lets images share what they have in common, on the disk and in memory.
pub fn sharing(evidence: &Evidence<'_, '_>) -> Finding {
    let Some(column) = evidence
        .column(image::NAME, ONE)
        .filter(|column| column.has_figures())
    else {
        return evidence.without_experiment(image::NAME);
    };
    let Some(container) = container_of(column) else {
        return evidence.without_targets(|side| side == TargetFamily::Container, "side.container");
    };
    let places = [
        (DISK, ["quote.on-disk", "quote.on-disk-ratio"]),
        (CACHE, ["quote.in-cache", "quote.in-cache-ratio"]),
    ];
    let found = places
        .into_iter()
        .filter_map(|(place, names)| Some((ways(evidence, &container.target.name, place)?, names)));
    let found: Vec<(Ways<'_, '_>, [&str; 2])> = found.collect();
    if found.is_empty() {
        return evidence.without_experiment(image::NAME);
    }
    let answers: Vec<Answer> = found.iter().filter_map(|(ways, _)| ways.share()).collect();
    let verdict = Verdict::of(&answers);
    let because = match verdict {
        Verdict::Depends => evidence.words.text("depends.place"),
        Verdict::Undecided => evidence.words.text("undecided.wide"),
        Verdict::Supported | Verdict::Refuted => "",
    };
    let quoted = found
        .iter()
        .filter_map(|(ways, names)| ways.quote(evidence, &container.target.name, *names));
    let machines = machines_of(column);
    let nuance = [
        one_more(evidence, &container.target.name),
        machines
            .first()
            .and_then(|machine| of_machine(evidence, &machine.target.name)),
    ];
    Finding {
        verdict,
        because: because.to_owned(),
        figures: quoted.collect(),
        nuance: nuance.into_iter().flatten().collect(),
        wanted: wanted(evidence, verdict),
        experiment: Some(image::NAME),
    }
}

/// What one more container adds to the disk, with a shared base and with a copied base.
fn one_more(evidence: &Evidence<'_, '_>, target: &str) -> Option<String> {
    let many = ways(evidence, target, DISK)?;
    let [shared, copies] = DISK.map(|family| figure(evidence, target, family, 1));
    let more = f64::from(many.count - 1);
    let each = |many: &Figure<'_>, one: &Figure<'_>| {
        let each = (many.median - one.median) / more;
        unbroken(Unit::Bytes, each.max(0.0))
    };
    let (shared, copies) = (each(many.shared, shared?), each(many.copies, copies?));
    Some(evidence.words.say(
        "nuance.one-more",
        &[
            ("target", &target),
            ("shared", &shared),
            ("copies", &copies),
        ],
    ))
}

/// Whether the instances of a virtual machine share their base too, if their disk is read-only.
fn of_machine(evidence: &Evidence<'_, '_>, target: &str) -> Option<String> {
    let (disk, cache) = (
        ways(evidence, target, DISK)?,
        ways(evidence, target, CACHE)?,
    );
    let name = match (disk.share()?, cache.share()?) {
        (Answer::Agrees, Answer::Agrees) => "nuance.machine-shares",
        _ => "nuance.machine-does-not-share",
    };
    let bytes = |figure: &Figure<'_>| unbroken(Unit::Bytes, figure.median);
    Some(evidence.words.say(
        name,
        &[
            ("count", &disk.count),
            ("target", &target),
            ("disk", &bytes(disk.shared)),
            ("cache", &bytes(cache.shared)),
            ("disk-copies", &bytes(disk.copies)),
            ("cache-copies", &bytes(cache.copies)),
        ],
    ))
}

fn wanted(evidence: &Evidence<'_, '_>, verdict: Verdict) -> Option<String> {
    let rounds = || evidence.words.text("wanted.rounds").to_owned();
    (verdict == Verdict::Undecided).then(rounds)
}

/// The figure of a family of metrics for a number of instances.
fn figure<'s, 'a>(
    evidence: &Evidence<'s, 'a>,
    target: &str,
    family: MetricFamily,
    count: u32,
) -> Option<&'s Figure<'a>> {
    let mut columns = evidence.summary.section(image::NAME)?.columns.iter();
    let column = columns
        .find(|column| column.metric.family == family && column.metric.at_once == Some(count))?;
    column.figure_of(target)
}

/// The largest number of instances, above one, that was measured with a shared base and with
/// copies.
fn ways<'s, 'a>(
    evidence: &Evidence<'s, 'a>,
    target: &str,
    [shared, copies]: [MetricFamily; 2],
) -> Option<Ways<'s, 'a>> {
    let columns = evidence.summary.section(image::NAME)?.columns.iter();
    let of_copies = columns.filter(|column| column.metric.family == copies);
    let counts = of_copies.filter_map(|column| column.metric.at_once);
    let both = counts.filter(|count| *count > 1).filter_map(|count| {
        Some(Ways {
            count,
            shared: figure(evidence, target, shared, count)?,
            copies: figure(evidence, target, copies, count)?,
        })
    });
    both.max_by_key(|ways| ways.count)
}

impl Ways<'_, '_> {
    /// Whether a shared base takes less room than copies; nothing if the intervals leave that open.
    fn share(&self) -> Option<Answer> {
        match Standing::of(self.copies, self.shared) {
            Standing::Above => Some(Answer::Agrees),
            Standing::Below | Standing::Alike => Some(Answer::Disagrees),
            Standing::Unknown => None,
        }
    }

    /// Quotes both figures in the words of `sentence`; a plot has the words of `short`.
    fn quote(
        &self,
        evidence: &Evidence<'_, '_>,
        target: &str,
        [sentence, short]: [&str; 2],
    ) -> Option<Quote> {
        let bytes = |figure: &Figure<'_>| unbroken(Unit::Bytes, figure.median);
        let (shared, copies) = (bytes(self.shared), bytes(self.copies));
        let values: [(&str, &dyn Display); 4] = [
            ("count", &self.count),
            ("target", &target),
            ("shared", &shared),
            ("copies", &copies),
        ];
        let metric = evidence.words.text(short);
        evidence.quote_ratio(
            sentence,
            &values,
            [self.copies, self.shared],
            metric,
            target,
        )
    }
}
