//! How a run was conducted, in words: what stopped the run, how noisy the host was, what measuring
//! costs.

use crate::figures::name::FigureName;
use crate::figures::noise::Noise;
use crate::figures::summary::Summary;
use crate::model::{Instrument, Run, Setting, Stop, StopReason, Unit};
use crate::statistics::median;
use crate::words::units;

/// What should be known beside the figures: a subject and a sentence each.
pub fn notes(summary: &Summary<'_>) -> Vec<(&'static str, String)> {
    let conduct = &summary.run.conduct;
    let mut notes = Vec::new();
    notes.extend(conduct.stop.map(|stop| ("stopped", stopped(summary, stop))));
    notes.extend(Noise::of(summary.run).map(|noise| ("noise floor", noisy(&noise))));
    let instrument = conduct.instrument.as_ref();
    notes.extend(instrument.and_then(|instrument| Some(("instrument", costs(instrument)?))));
    notes.extend(own_time(summary.run).map(|note| ("harness", note)));
    notes.extend(tuned(&conduct.tuned).map(|note| ("tuned", note)));
    notes
}

/// How much processor time the harness itself took.
fn own_time(run: &Run) -> Option<String> {
    let share = |seconds: f64| {
        let share = seconds / run.duration_seconds;
        share.is_finite().then(|| units::part(share))
    };
    let own = share(run.conduct.harness_cpu_seconds?)?;
    let work = run.conduct.host_work_cpu_seconds.and_then(share);
    let besides = work.map_or_else(String::new, |work| {
        format!(", and {work} more at the host's end of network connections")
    });
    Some(format!(
        "measuring took {own} of one processor's time{besides}"
    ))
}

/// The settings of the host that were changed, settings of the same kind together.
fn tuned(settings: &[Setting]) -> Option<String> {
    let kind = |setting: &Setting| {
        let name = setting
            .path
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned();
        (name, setting.from.clone(), setting.to.clone())
    };
    let kinds = settings.chunk_by(|left, right| kind(left) == kind(right));
    let phrases: Vec<String> = kinds
        .map(|same| {
            let (name, from, to) = kind(&same[0]);
            let times = if same.len() > 1 {
                format!(" ({}×)", same.len())
            } else {
                String::new()
            };
            format!("{name}{times} from {from} to {to}")
        })
        .collect();
    (!phrases.is_empty())
        .then(|| format!("changed for the run and put back: {}", phrases.join(", ")))
}

fn stopped(summary: &Summary<'_>, stop: Stop) -> String {
    let asked = stop.precision.map(|precision| {
        let precision = units::part(precision);
        format!("every leading figure within ±{precision}")
    });
    let limit = stop
        .max_seconds
        .map(|seconds| units::value(Unit::Nanoseconds, seconds * 1e9));
    let reached = match stop.reason {
        StopReason::Precision => "every leading figure is as precise".to_owned(),
        StopReason::Time => format!(
            "the time limit of {} was reached",
            limit.unwrap_or_default()
        ),
        StopReason::Rounds => "all rounds were done".to_owned(),
    };
    let least = least_precise(summary).map(|(name, width)| match width {
        Some(width) => format!("; least precise: {name}, ±{}", units::part(width)),
        None => format!("; least precise: {name}, which has too few samples to say"),
    });
    let asked = asked.map_or(String::new(), |asked| format!("asked for: {asked}; "));
    format!("{asked}{reached}{}", least.unwrap_or_default())
}

/// The leading figure with the widest interval, relative to its median.
fn least_precise<'a>(summary: &Summary<'a>) -> Option<(FigureName<'a>, Option<f64>)> {
    let mut widths = Vec::new();
    for section in &summary.sections {
        let Some(column) = section.leading() else {
            continue;
        };
        for cell in &column.cells {
            let name = FigureName {
                target: &cell.target.name,
                experiment: &section.experiment.name,
                metric: &column.metric.name,
            };
            widths.extend(
                cell.figure()
                    .map(|figure| (name, figure.series.relative_half_width())),
            );
        }
    }
    let rank = |width: Option<f64>| width.unwrap_or(f64::INFINITY);
    widths
        .into_iter()
        .max_by(|(_, left), (_, right)| rank(*left).total_cmp(&rank(*right)))
}

fn noisy(noise: &Noise) -> String {
    let interval = noise
        .interval
        .map(|interval| format!(" ({})", units::ratio_interval(interval)));
    format!(
        "the bare process compared with itself: {}{} in {} pairs of starts before the first sample",
        units::ratio(noise.ratio),
        interval.unwrap_or_default(),
        noise.pairs
    )
}

fn costs(instrument: &Instrument) -> Option<String> {
    let time = |values: &[f64]| {
        let median = median(&mut values.to_vec())?;
        Some(units::value(Unit::Nanoseconds, median))
    };
    Some(format!(
        "waking the harness takes {}, which every time includes; writing a mark takes {}",
        time(&instrument.wake_ups)?,
        time(&instrument.marks)?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn conducted(stop: Stop) -> Run {
        let mut run = fixture::run();
        run.conduct.stop = Some(stop);
        run.conduct.instrument = Some(Instrument {
            pairs: (0..20)
                .map(|i| [5e5 + f64::from(i), 5.1e5 + f64::from(i)])
                .collect(),
            wake_ups: vec![12e3, 14e3, 13e3],
            marks: vec![900.0, 1100.0, 1000.0],
        });
        run
    }

    #[test]
    fn what_stopped_a_run_is_said_with_its_least_precise_figure() {
        let stop = Stop {
            precision: Some(0.02),
            max_seconds: Some(60.0),
            reason: StopReason::Time,
        };
        let run = conducted(stop);
        let notes = notes(&Summary::of(&run));
        assert_eq!(
            notes[0].1,
            "asked for: every leading figure within ±2 %; the time limit of 60.0 s was reached; least precise: microvm-bare, memory overhead, ±10 %"
        );
        assert_eq!(
            notes[1].1,
            "the bare process compared with itself: 1.02× (1.02 to 1.02×) in 20 pairs of starts before the first sample"
        );
        assert_eq!(
            notes[2].1,
            "waking the harness takes 13.0 µs, which every time includes; writing a mark takes 1.00 µs"
        );
    }

    #[test]
    fn a_run_that_recorded_nothing_has_no_notes() {
        assert_eq!(notes(&Summary::of(&fixture::run())), []);
    }
}
