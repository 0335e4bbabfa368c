//! Budgets as they are written.
//!
//! ```text
//! budget  = figure ("<=" | ">=") bound
//! figure  = target [experiment] [metric] ["median" | "p95" | "p99"]
//! bound   = number unit                 3 MiB
//!         | number "x" target           12x process
//!         | "base" ["+" | "-" number "%"]   base + 5 %
//! ```

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::amount::{Amount, known_units};

/// Longest budget, in bytes.
const LONGEST: usize = 300;

/// The word for the base run in a bound.
const BASE: &str = "base";

/// What a figure may be at most, or must be at least.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// The budget as it was written.
    text: String,
    pub(super) target: String,
    /// The words for experiment and metric.
    pub(super) figure: Vec<String>,
    pub(super) statistic: Statistic,
    pub(super) side: Side,
    pub(super) bound: Bound,
}

/// What is taken of a figure's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Statistic {
    Median,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

/// The side of the bound on which a budget is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    AtMost,
    AtLeast,
}

/// What a figure is held against.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Bound {
    /// A number of some unit.
    Amount(Amount),
    /// So many times the same figure of another target.
    OfTarget { ratio: f64, target: String },
    /// So many times the same figure of the base.
    OfBase { ratio: f64 },
}

/// A text is no budget.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SyntaxError {
    /// The text is longer than a budget.
    #[error("a budget has {LONGEST} bytes at most, and this one has {0}")]
    TooLong(usize),
    /// There is no sign, or there are two.
    #[error("`{0}` has no <= or >=: write a budget such as `container startup p95 <= 12x process`")]
    NoSign(String),
    /// There is no target, no figure, or too many words.
    #[error(
        "`{0}` is no figure: write a target, and an experiment, a metric or both, then p95 or p99 if the median isn't meant"
    )]
    NoFigure(String),
    /// The bound isn't understood.
    #[error("`{0}` is no bound: write `3 MiB`, `12x process` or `base + 5 %`")]
    NoBound(String),
    /// The unit isn't known.
    #[error("`{unit}` in `{bound}` is no unit: there are {}", known_units())]
    NoUnit {
        /// The bound.
        bound: String,
        /// The unit.
        unit: String,
    },
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Budget {
    type Err = SyntaxError;

    fn from_str(text: &str) -> Result<Self, SyntaxError> {
        if text.len() > LONGEST {
            return Err(SyntaxError::TooLong(text.len()));
        }
        let words: Vec<_> = text.split_whitespace().collect();
        let text = words.join(" ");
        let no_sign = || SyntaxError::NoSign(text.clone());
        let (figure, side, bound) = if let Some((figure, bound)) = text.split_once("<=") {
            (figure, Side::AtMost, bound)
        } else {
            let (figure, bound) = text.split_once(">=").ok_or_else(no_sign)?;
            (figure, Side::AtLeast, bound)
        };
        let (target, figure, statistic) = figure_of(figure.trim())?;
        Ok(Self {
            target,
            figure,
            statistic,
            side,
            bound: bound_of(bound.trim())?,
            text,
        })
    }
}

fn figure_of(text: &str) -> Result<(String, Vec<String>, Statistic), SyntaxError> {
    let mut words = text.split(' ').map(str::to_owned);
    let target = words.next().unwrap_or_default();
    let mut figure: Vec<String> = words.collect();
    let statistic = match figure.last().map(String::as_str) {
        Some("median") => Some(Statistic::Median),
        Some("p95") => Some(Statistic::P95),
        Some("p99") => Some(Statistic::P99),
        _ => None,
    };
    if statistic.is_some() {
        figure.pop();
    }
    if !(1..=2).contains(&figure.len()) {
        return Err(SyntaxError::NoFigure(text.to_owned()));
    }
    Ok((target, figure, statistic.unwrap_or(Statistic::Median)))
}

fn bound_of(text: &str) -> Result<Bound, SyntaxError> {
    let no_bound = || SyntaxError::NoBound(text.to_owned());
    if let Some(change) = text.strip_prefix(BASE) {
        let ratio = ratio_of(change.trim()).ok_or_else(no_bound)?;
        return Ok(Bound::OfBase { ratio });
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    let number = positive(number).ok_or_else(no_bound)?;
    let rest = rest.trim();
    if let Some(target) = rest.strip_prefix(['x', '×']) {
        return match target.trim() {
            "" => Err(no_bound()),
            BASE => Ok(Bound::OfBase { ratio: number }),
            target => Ok(Bound::OfTarget {
                ratio: number,
                target: target.to_owned(),
            }),
        };
    }
    let amount = Amount::new(number, rest).ok_or_else(|| SyntaxError::NoUnit {
        bound: text.to_owned(),
        unit: rest.to_owned(),
    })?;
    Ok(Bound::Amount(amount))
}

/// The ratio that a change in per cent makes, such as 1.05 of `+ 5 %`; 1 if there is no change.
fn ratio_of(change: &str) -> Option<f64> {
    if change.is_empty() {
        return Some(1.0);
    }
    let sign = match change.chars().next()? {
        '+' => 1.0,
        '-' => -1.0,
        _ => return None,
    };
    let percent = positive(change[1..].strip_suffix('%')?.trim())?;
    Some(1.0 + sign * percent / 100.0).filter(|ratio| *ratio > 0.0)
}

fn positive(number: &str) -> Option<f64> {
    let number: f64 = number.parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Unit;

    fn parsed(text: &str) -> Budget {
        text.parse().unwrap()
    }

    #[test]
    fn each_kind_of_bound_is_understood() {
        let ratio = parsed("container startup p95 <= 12x process");
        assert_eq!(
            (ratio.target.as_str(), ratio.statistic),
            ("container", Statistic::P95)
        );
        assert_eq!(ratio.figure, ["startup"]);
        let target = "process".to_owned();
        assert_eq!(
            ratio.bound,
            Bound::OfTarget {
                ratio: 12.0,
                target
            }
        );
        let Bound::Amount(amount) = parsed("microvm-bare  memory<=3MiB").bound else {
            panic!("no amount");
        };
        assert_eq!(amount.in_unit_of(Unit::Bytes), Some(3_145_728.0));
        assert_eq!(amount.in_unit_of(Unit::Nanoseconds), None);
        for (text, expected) in [
            ("base + 5 %", 1.05),
            ("base+5%", 1.05),
            ("base - 10 %", 0.9),
            ("base", 1.0),
            ("1.5x base", 1.5),
            ("1.5 × base", 1.5),
        ] {
            let Bound::OfBase { ratio } = parsed(&format!("a b c <= {text}")).bound else {
                panic!("{text}");
            };
            assert!((ratio - expected).abs() < 1e-12, "{text}: {ratio}");
        }
        let rate = parsed("container disk rand-read-direct >= 0.9x process");
        assert_eq!((rate.side, rate.figure.len()), (Side::AtLeast, 2));
    }

    #[test]
    fn what_is_no_budget_is_refused_with_what_to_write() {
        for (text, hint) in [
            ("container startup 12x process", "no <= or >="),
            ("container <= 3 ms", "is no figure"),
            ("container p95 <= 3 ms", "is no figure"),
            ("container a b c <= 3 ms", "is no figure"),
            ("container startup <= ", "is no bound"),
            ("container startup <= x process", "is no bound"),
            ("container startup <= 12x", "is no bound"),
            ("container startup <= -3 ms", "is no bound"),
            ("container startup <= 0 ms", "is no bound"),
            ("container startup <= 1.2.3 ms", "is no bound"),
            ("container startup <= base + 5", "is no bound"),
            ("container startup <= base - 100 %", "is no bound"),
            (
                "container startup <= 3 furlongs",
                "`furlongs` in `3 furlongs` is no unit",
            ),
            ("container startup <= 3 mib", "`mib` in"),
        ] {
            let error = text.parse::<Budget>().unwrap_err().to_string();
            assert!(error.contains(hint), "{text}: {error}");
        }
        let long = format!("{} <= 3 ms", "x".repeat(LONGEST));
        assert!(matches!(
            long.parse::<Budget>(),
            Err(SyntaxError::TooLong(_))
        ));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z0-9<>=x×+%. -]{0,60}|\\PC{0,40}") {
            let _ = text.parse::<Budget>();
        }
    }
}
