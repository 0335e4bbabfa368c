//! Parsers for values on the command line: times and percentages.

use std::time::Duration;

use jiff::SignedDuration;

/// The longest time that a user can give. A clock's time plus this time doesn't overflow.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// Parses `5%`, `5 %` or `5` as 0.05.
///
/// # Errors
/// The text says what is expected.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 1000.0 => Ok(percent / 100.0),
        _ => Err("expected a percentage above 0 and up to 1000, such as 5%".to_owned()),
    }
}

/// Parses a number with its unit, such as `90s`, `5min` or `+500us`, in jiff's "friendly" format
/// (<https://docs.rs/jiff/latest/jiff/fmt/friendly/>).
///
/// # Errors
/// The text says what is expected.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok();
    // A negative time can't become a `Duration`.
    let time = parsed.and_then(|time| Duration::try_from(time).ok());
    time.filter(|time| *time <= LONGEST).ok_or_else(|| {
        "expected a time with its unit, up to a year, such as 90s or 5min".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_a_positive_number() {
        for text in ["5%", "5 %", "5", " 5.0%"] {
            assert_eq!(parse_percent(text), Ok(0.05), "{text}");
        }
        for text in ["", "%", "-1%", "0", "NaN", "inf", "five", "2000%"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units_and_bounds() {
        for (text, expected) in [
            ("90s", Duration::from_secs(90)),
            ("5min", Duration::from_mins(5)),
            ("500us", Duration::from_micros(500)),
            ("+500us", Duration::from_micros(500)),
            ("250ms", Duration::from_millis(250)),
            ("7ns", Duration::from_nanos(7)),
            ("1.5s", Duration::from_millis(1500)),
        ] {
            assert_eq!(parse_time(text), Ok(expected), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1s ago", "99999999999s", "1parsec"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
