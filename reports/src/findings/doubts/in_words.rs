//! The sentences for doubts.

use super::{Doubt, FigureDoubt, RunDoubt};
use crate::figures::name::FigureName;
use crate::model::Unit;
use crate::words::Words;
use crate::words::units;

impl Doubt<'_> {
    /// The doubt as a sentence without a full stop, in the language of `words`.
    pub fn tell(&self, words: &Words) -> String {
        match self {
            Self::Run(doubt) => doubt.tell(words),
            Self::Figure(name, doubt) => doubt.tell(name, words),
        }
    }
}

impl RunDoubt<'_> {
    fn tell(&self, words: &Words) -> String {
        let duration = |value: &f64| units::value(Unit::Nanoseconds, *value);
        match self {
            Self::Injected {
                target,
                experiment,
                delay,
            } => words.say(
                "doubt.injected",
                &[
                    ("delay", &duration(delay)),
                    ("target", target),
                    ("experiment", experiment),
                ],
            ),
            Self::ClockStep { step } => words.say_one("doubt.clock", "step", duration(step)),
            Self::Drift {
                figures,
                most,
                correlation,
            } => {
                let text = if *figures == 1 {
                    "doubt.drift-of-one"
                } else {
                    "doubt.drift"
                };
                let correlation = format!("{correlation:+.2}");
                words.say(
                    text,
                    &[
                        ("figures", figures),
                        ("most", most),
                        ("correlation", &correlation),
                    ],
                )
            }
            Self::Outliers { all, far, samples } => words.say(
                "doubt.outliers",
                &[("all", all), ("samples", samples), ("far", far)],
            ),
        }
    }
}

impl FigureDoubt<'_> {
    fn tell(&self, figure: &FigureName<'_>, words: &Words) -> String {
        match self {
            Self::BelowFloor { floor, ratio } => words.say(
                "doubt.below-floor",
                &[
                    ("figure", figure),
                    ("ratio", &units::ratio(*ratio)),
                    ("floor", floor),
                ],
            ),
            Self::NegativePhase { samples } => words.say(
                "doubt.negative-phase",
                &[("figure", figure), ("samples", samples)],
            ),
            Self::AllEqual { samples } => words.say(
                "doubt.all-equal",
                &[("figure", figure), ("samples", samples)],
            ),
            Self::AboveDevice { ratio } => words.say(
                "doubt.above-device",
                &[("figure", figure), ("ratio", &units::ratio(*ratio))],
            ),
            Self::TwoPeaks { unit, peaks } => {
                let share = format!("{:.0}", peaks.upper_share * 100.0);
                let (lower, upper) = (
                    units::value(*unit, peaks.lower),
                    units::value(*unit, peaks.upper),
                );
                words.say(
                    "doubt.two-peaks",
                    &[
                        ("figure", figure),
                        ("lower", &lower),
                        ("upper", &upper),
                        ("share", &share),
                    ],
                )
            }
        }
    }
}
