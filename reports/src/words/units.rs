//! How values are written for people: with three significant digits, in the unit that keeps them
//! short.

use crate::model::Unit;
use crate::statistics::Interval;

/// A unit that suits values of some size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// How many of the samples' units make one of this unit.
    pub divisor: f64,
    /// The symbol of the unit.
    pub symbol: &'static str,
}

const TIME: [Scale; 4] = [
    scale(1.0, "ns"),
    scale(1e3, "µs"),
    scale(1e6, "ms"),
    scale(1e9, "s"),
];
const SIZE: [Scale; 4] = [
    scale(1.0, "B"),
    scale(1024.0, "KiB"),
    scale(1_048_576.0, "MiB"),
    scale(1_073_741_824.0, "GiB"),
];
const THROUGHPUT: [Scale; 4] = [
    scale(1.0, "B/s"),
    scale(1e3, "kB/s"),
    scale(1e6, "MB/s"),
    scale(1e9, "GB/s"),
];
const RATE: [Scale; 1] = [scale(1.0, "/s")];
const COUNT: [Scale; 1] = [scale(1.0, "")];

const fn scale(divisor: f64, symbol: &'static str) -> Scale {
    Scale { divisor, symbol }
}

impl Scale {
    /// The largest unit in which `value` is at least 1, or the smallest unit that there is.
    ///
    /// A value that three digits round up to 1000 gets the next unit, so that `1.00 ms` is never
    /// `1000 µs`.
    pub fn of(unit: Unit, value: f64) -> Self {
        let scales: &[Self] = match unit {
            Unit::Nanoseconds => &TIME,
            Unit::Bytes => &SIZE,
            Unit::BytesPerSecond => &THROUGHPUT,
            Unit::OperationsPerSecond => &RATE,
            Unit::Count => &COUNT,
        };
        let fits = |scale: &&Self| value.abs() / scale.divisor < 999.5;
        scales
            .iter()
            .find(fits)
            .or(scales.last())
            .copied()
            .unwrap_or(RATE[0])
    }

    /// Writes a round value of an axis with its unit, without needless digits.
    pub fn tick(self, value: f64) -> String {
        let number = ((value / self.divisor) * 1e6).round() / 1e6;
        if number == 0.0 {
            return "0".to_owned();
        }
        let text = number.to_string();
        let text = if number.fract() == 0.0 && number.abs() < 1e15 {
            thousands(&text)
        } else {
            text
        };
        self.behind(&text)
    }

    /// The number in front of the symbol. A count is whole, and is written with all its digits.
    pub fn number(self, value: f64) -> String {
        if self.symbol.is_empty() && value.fract() == 0.0 {
            return thousands(&format!("{value:.0}"));
        }
        digits(value / self.divisor)
    }

    /// The number with the symbol behind it, if the unit has a symbol.
    fn behind(self, number: &str) -> String {
        format!("{number} {}", self.symbol).trim_end().to_owned()
    }
}

/// Writes a value with its unit, such as `1.23 ms`, `12.3 MiB`, `84,000 /s`.
pub fn value(unit: Unit, value: f64) -> String {
    let scale = Scale::of(unit, value);
    scale.behind(&scale.number(value))
}

/// Writes a round value of an axis in the unit that fits it, such as `20 ms`.
pub fn tick(unit: Unit, value: f64) -> String {
    Scale::of(unit, value).tick(value)
}

/// Writes an interval in the unit that fits `centre`, such as `1.20 to 1.31 ms`.
pub fn interval(unit: Unit, interval: Interval, centre: f64) -> String {
    let scale = Scale::of(unit, centre);
    let (low, high) = (scale.number(interval.low), scale.number(interval.high));
    scale.behind(&format!("{low} to {high}"))
}

/// Writes a ratio, such as `3.21×`.
pub fn ratio(ratio: f64) -> String {
    format!("{}×", digits(ratio))
}

/// Writes an interval of ratios, such as `3.11 to 3.35×`.
pub fn ratio_interval(interval: Interval) -> String {
    format!("{} to {}×", digits(interval.low), digits(interval.high))
}

/// Writes half the width of an interval as a part of its median: `±4 %`; nothing at a median of 0.
pub fn spread(interval: Interval, median: f64) -> Option<String> {
    let width = interval.relative_half_width(median);
    width.is_finite().then(|| format!("±{}", part(width)))
}

/// Writes a part of a whole in per cent: `4 %`, `0.5 %`.
pub fn part(part: f64) -> String {
    let percent = part * 100.0;
    if percent < 0.05 {
        "0 %".to_owned()
    } else {
        format!("{} %", two_digits(percent))
    }
}

/// Writes a share of trials in per cent: `99.4 %`. Only the whole is `100 %`, and only nothing is
/// `0 %`.
pub fn share(share: f64) -> String {
    format!("{} %", share_digits(share))
}

/// Writes an interval of shares: `97.2 to 100 %`.
pub fn share_interval(interval: Interval) -> String {
    let [low, high] = [interval.low, interval.high].map(share_digits);
    format!("{low} to {high} %")
}

fn share_digits(share: f64) -> String {
    let percent = share * 100.0;
    if percent <= 0.0 || percent >= 100.0 {
        return format!("{percent:.0}");
    }
    format!("{:.1}", percent.clamp(0.1, 99.9))
}

/// Writes a change in per cent with its sign and without the unit: `+4.2`, `-0.3`, `+120`.
pub fn percent(change: f64) -> String {
    let percent = change * 100.0;
    if percent.abs() < 9.95 {
        format!("{percent:+.1}")
    } else {
        format!("{percent:+.0}")
    }
}

/// Writes a p-value with a sign before it: `= 0.03`, `< 0.0001`.
pub fn p_value(p: f64) -> String {
    if p < 0.0001 {
        "< 0.0001".to_owned()
    } else if p < 0.01 {
        format!("= {p:.4}")
    } else {
        format!("= {p:.2}")
    }
}

fn two_digits(value: f64) -> String {
    if value < 0.95 {
        format!("{value:.1}")
    } else {
        thousands(&format!("{value:.0}"))
    }
}

/// Writes three significant digits, thousands separated by commas. Digits of a longer integer part
/// are rounded to zeros.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size < 0.009_995 {
        format!("{value:.4}")
    } else if size < 9.995 {
        format!("{value:.2}")
    } else if size < 99.95 {
        format!("{value:.1}")
    } else if size < 999.5 {
        format!("{value:.0}")
    } else {
        let step = 10_f64.powf(size.log10().floor() - 2.0);
        thousands(&format!("{:.0}", (value / step).round() * step))
    }
}

fn thousands(number: &str) -> String {
    let (sign, integer) = number
        .strip_prefix('-')
        .map_or(("", number), |rest| ("-", rest));
    let groups: Vec<&str> = {
        let first = integer.len() % 3;
        let head = (first > 0).then(|| &integer[..first]);
        let tail = (first..integer.len())
            .step_by(3)
            .map(|start| &integer[start..start + 3]);
        head.into_iter().chain(tail).collect()
    };
    format!("{sign}{}", groups.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_digits_and_a_fitting_unit() {
        let cases = [
            (Unit::Nanoseconds, 0.0, "0 ns"),
            (Unit::Nanoseconds, 812_345.0, "812 µs"),
            (Unit::Nanoseconds, 999_600.0, "1.00 ms"),
            (Unit::Nanoseconds, 1_234_567.0, "1.23 ms"),
            (Unit::Nanoseconds, 98_765_432_100.0, "98.8 s"),
            (Unit::Nanoseconds, 7_200e9, "7,200 s"),
            (Unit::Bytes, 512.0, "512 B"),
            (Unit::Bytes, 1_047_000.0, "1.00 MiB"),
            (Unit::Bytes, -300_000.0, "-293 KiB"),
            (Unit::BytesPerSecond, 1.5e9, "1.50 GB/s"),
            (Unit::BytesPerSecond, 513_400_000.0, "513 MB/s"),
            (Unit::OperationsPerSecond, 84_044.0, "84,000 /s"),
            (Unit::OperationsPerSecond, 1_234_567.0, "1,230,000 /s"),
            (Unit::OperationsPerSecond, 12.34, "12.3 /s"),
            (Unit::Count, 1.0, "1"),
            (Unit::Count, 12_345.0, "12,345"),
            (Unit::Count, 3.5, "3.50"),
        ];
        for (unit, number, text) in cases {
            assert_eq!(value(unit, number), text);
        }
    }

    #[test]
    fn only_the_whole_is_a_hundred_per_cent() {
        let shares = [0.0, 0.00001, 0.5, 0.9944, 0.99999, 1.0].map(share);
        let expected = ["0 %", "0.1 %", "50.0 %", "99.4 %", "99.9 %", "100 %"];
        assert_eq!(shares, expected);
        let interval = Interval {
            low: 0.9721,
            high: 1.0,
        };
        assert_eq!(share_interval(interval), "97.2 to 100 %");
    }

    #[test]
    fn ratios_and_spreads() {
        assert_eq!(ratio(3.214), "3.21×");
        assert_eq!(ratio(0.93), "0.93×");
        assert_eq!(ratio(1234.0), "1,230×");
        assert_eq!([0.0421, -0.003, 1.2].map(percent), ["+4.2", "-0.3", "+120"]);
        assert_eq!(
            [0.5, 0.004, 1e-9].map(p_value),
            ["= 0.50", "= 0.0040", "< 0.0001"]
        );
        let narrow = Interval {
            low: 1_200_000.0,
            high: 1_310_000.0,
        };
        assert_eq!(
            interval(Unit::Nanoseconds, narrow, 1_250_000.0),
            "1.20 to 1.31 ms"
        );
        assert_eq!(spread(narrow, 1_250_000.0).unwrap(), "±4 %");
        assert_eq!(spread(narrow, 0.0), None);
        assert_eq!(
            spread(
                Interval {
                    low: 1.0,
                    high: 1.0
                },
                1.0
            )
            .unwrap(),
            "±0 %"
        );
        assert_eq!(
            spread(
                Interval {
                    low: 0.99,
                    high: 1.0
                },
                1.0
            )
            .unwrap(),
            "±0.5 %"
        );
    }
}
