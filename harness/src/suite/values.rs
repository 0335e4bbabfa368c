//! Values on the command line: times and percentages.

use std::time::Duration;

/// Reads `5%`, `5 %` or `5` as 0.05.
///
/// # Errors
/// What is expected instead.
pub fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim_end();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 1000.0 => Ok(percent / 100.0),
        _ => Err("expected per cent above 0 and up to 1000, such as 5%".to_owned()),
    }
}

/// Reads `90s` or `5min`.
///
/// # Errors
/// What is expected instead.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .ok_or_else(|| "expected a time with its unit, such as 90s or 5min".to_owned())
}

/// Reads a whole number with a unit: `90s`, `5min`, `500us`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|character: char| !character.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u32 = number.parse().ok()?;
    let one = match unit {
        "ns" => Duration::from_nanos(1),
        "us" => Duration::from_micros(1),
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "min" => Duration::from_mins(1),
        _ => return None,
    };
    one.checked_mul(number)
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
    fn durations_have_units_and_bounds() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("5min"), Some(Duration::from_mins(5)));
        for text in ["", "5", "s", "1.5s", "99999999999s", "5 s", "-1s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
