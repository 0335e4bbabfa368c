//! Whether the host was quiet during a run, by the noise floor, the drift of figures, the clocks
//! and the load together.

use crate::figures::noise::Noise;
use crate::figures::summary::{MINIMUM_EFFECT, Summary};
use crate::findings::doubts::{Doubt, RunDoubt};
use crate::model::Unit;
use crate::words::{Words, units};

/// The key of the fact that says how busy the host was before the run.
const LOAD: &str = "load";

/// Whether the host was quiet.
#[derive(Debug, PartialEq)]
pub enum Quiet<'a> {
    /// The host was quiet: the bare process differs from itself by less than what is called a
    /// difference, and nothing disturbed the run.
    Yes(Noise),
    /// The host was not quiet, for these reasons.
    No(Vec<Disturbance<'a>>),
    /// Nobody knows: the run did not measure its noise floor.
    Unknown,
}

/// A reason to say that the host was not quiet.
#[derive(Debug, PartialEq)]
pub enum Disturbance<'a> {
    /// The bare process differs from itself.
    Noise(Noise),
    /// This number of figures, two or more, rise or fall over the run.
    Drift(usize),
    /// The wall clock stepped by this time, in nanoseconds.
    Clock(f64),
    /// The host had this load before the run.
    Load(&'a str),
}

impl<'a> Quiet<'a> {
    /// Judges a run by its noise floor, its host, and the `doubts` about it.
    pub fn of(summary: &Summary<'a>, doubts: &[Doubt<'_>]) -> Self {
        let noise = Noise::of(summary.run);
        let mut disturbances = Vec::new();
        let loud = noise.filter(|noise| noise.floor() > MINIMUM_EFFECT);
        disturbances.extend(loud.map(Disturbance::Noise));
        for doubt in doubts.iter().filter(|doubt| doubt.is_of_host()) {
            match doubt {
                Doubt::Run(RunDoubt::Drift { figures, .. }) => {
                    disturbances.push(Disturbance::Drift(*figures));
                }
                Doubt::Run(RunDoubt::ClockStep { step }) => {
                    disturbances.push(Disturbance::Clock(*step));
                }
                _ => {}
            }
        }
        let facts = summary.run.host.facts.iter();
        let loaded = facts.filter(|fact| fact.key == LOAD && fact.concern.is_some());
        disturbances.extend(loaded.map(|fact| Disturbance::Load(&fact.value)));
        match (disturbances.is_empty(), noise) {
            (false, _) => Self::No(disturbances),
            (true, Some(noise)) => Self::Yes(noise),
            (true, None) => Self::Unknown,
        }
    }

    /// The answer in a few words, and the reasons for it.
    pub fn tell(&self, words: &Words) -> (String, String) {
        let noise = |ratio: f64| units::ratio(ratio);
        match self {
            Quiet::Yes(found) => (
                words.text("quiet.yes").to_owned(),
                words.say(
                    "quiet.why",
                    &[("ratio", &noise(found.ratio)), ("pairs", &found.pairs)],
                ),
            ),
            Quiet::Unknown => (
                words.text("quiet.unknown").to_owned(),
                words.text("quiet.not-measured").to_owned(),
            ),
            Quiet::No(disturbances) => {
                let told: Vec<String> = disturbances
                    .iter()
                    .map(|disturbance| match disturbance {
                        Disturbance::Noise(found) => {
                            let ratio = noise(found.ratio);
                            words.say("quiet.noise", &[("ratio", &ratio), ("pairs", &found.pairs)])
                        }
                        Disturbance::Drift(figures) => {
                            words.say("quiet.drift", &[("figures", figures)])
                        }
                        Disturbance::Clock(step) => {
                            let step = units::value(Unit::Nanoseconds, *step);
                            words.say("quiet.clock", &[("step", &step)])
                        }
                        Disturbance::Load(load) => words.say("quiet.load", &[("load", load)]),
                    })
                    .collect();
                let why = told.join(words.text("list.semicolon")) + words.text("list.stop");
                (words.text("quiet.no").to_owned(), why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::name::FigureName;
    use crate::findings::doubts;
    use crate::fixture;
    use crate::model::{ClockOffset, Instrument, Run};

    fn judge(run: &Run) -> Quiet<'_> {
        let summary = Summary::of(run);
        Quiet::of(&summary, &doubts::of(&summary))
    }

    fn with_noise(ratio: f64) -> Run {
        let mut run = fixture::run();
        run.host.facts.retain(|fact| fact.key != LOAD);
        let pairs = (0..20).map(|i| 5e5 + f64::from(i) * 1e3);
        run.conduct.instrument = Some(Instrument {
            pairs: pairs.map(|time| [time, time * ratio]).collect(),
            ..Instrument::default()
        });
        run
    }

    #[test]
    fn a_run_is_quiet_only_if_it_looked() {
        let run = with_noise(1.01);
        assert!(matches!(judge(&run), Quiet::Yes(noise) if noise.pairs == 20));
        let mut silent = run.clone();
        silent.conduct.instrument = None;
        assert_eq!(judge(&silent), Quiet::Unknown);
    }

    #[test]
    fn one_figure_that_drifts_does_not_make_a_host_loud() {
        let run = with_noise(1.01);
        let summary = Summary::of(&run);
        let judge = |figures| {
            let most = FigureName {
                target: "container",
                experiment: "startup",
                metric: "ready",
            };
            let drift = RunDoubt::Drift {
                figures,
                most,
                correlation: 0.9,
            };
            Quiet::of(&summary, &[Doubt::Run(drift)])
        };
        assert!(matches!(judge(1), Quiet::Yes(_)));
        assert_eq!(judge(2), Quiet::No(vec![Disturbance::Drift(2)]));
    }

    #[test]
    fn noise_load_and_clock_steps_are_each_told() {
        let mut run = with_noise(1.1);
        run.conduct.clock = Some(ClockOffset {
            before_ns: 0,
            after_ns: 3_000_000_000,
        });
        run.host.facts = fixture::run().host.facts;
        let Quiet::No(told) = judge(&run) else {
            panic!("a loud run is called quiet");
        };
        let [
            Disturbance::Noise(noise),
            Disturbance::Clock(step),
            Disturbance::Load(load),
        ] = told[..]
        else {
            panic!("{told:?}");
        };
        assert!((noise.ratio - 1.1).abs() < 1e-9);
        assert!((step - 3e9).abs() < 1.0);
        assert_eq!(load, "1.70 0.92 0.51");
    }
}
