//! Sizes as users write them, with the meaning that docker, podman and systemd give them.

use bytesize::ByteSize;

/// A text that is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no size in bytes; write a number, as such or with K, M, G or T (powers of 1024), such \
     as 64M"
)]
pub struct SizeSyntaxError {
    text: String,
}

/// Parses a number of bytes with a unit: `64M` and `64MiB` are 64 times 1024 squared, as for docker
/// and systemd; `64MB` is 64 million, as in isobench's figures. Without a unit the number is of
/// bytes. Capitals make no difference.
///
/// # Errors
/// The text is none of these, or more than 64 bits hold.
pub fn parse_size(text: &str) -> Result<ByteSize, SizeSyntaxError> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let bytes = factor(unit.trim_start()).and_then(|factor| multiply(number, factor));
    bytes.map(ByteSize).ok_or_else(|| SizeSyntaxError {
        text: text.to_owned(),
    })
}

/// The number of bytes in a unit.
fn factor(unit: &str) -> Option<u64> {
    let unit = unit.to_ascii_lowercase();
    if unit.is_empty() || unit == "b" {
        return Some(1);
    }
    let (prefix, rest) = unit.split_at_checked(1)?;
    let power = u32::try_from("kmgtpe".find(prefix)?).ok()? + 1;
    match rest {
        "" | "i" | "ib" => 1024_u64.checked_pow(power),
        "b" => 1000_u64.checked_pow(power),
        _ => None,
    }
}

/// The product of a decimal number and `factor`, without what is left of a byte.
fn multiply(number: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().ok()?;
    // More digits than these make no difference.
    let fraction = fraction.get(..fraction.len().min(18))?;
    let digits = u32::try_from(fraction.len()).ok()?;
    let fraction: u128 = fraction.parse().ok()?;
    let part = fraction * u128::from(factor) / 10_u128.pow(digits);
    let part = u64::try_from(part).ok()?;
    whole.checked_mul(factor)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_those_of_docker_and_systemd() {
        const MIB: u64 = 1 << 20;
        for (text, bytes) in [
            ("64M", 64 * MIB),
            ("64m", 64 * MIB),
            ("64MiB", 64 * MIB),
            ("64 Mi", 64 * MIB),
            ("1.5G", 1536 * MIB),
            ("2t", 2 << 40),
            ("100k", 102_400),
            ("64MB", 64_000_000),
            ("1GB", 1_000_000_000),
            ("4096", 4096),
            ("4096B", 4096),
            ("16E", 0),
        ] {
            let size = parse_size(text).ok();
            let expected = (bytes > 0).then_some(ByteSize(bytes));
            assert_eq!(size, expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused_with_an_example() {
        for text in [
            "", "M", "-1M", "1X", "1.2.3M", "1,5G", "64 M B", "0x10", "1é", ".",
        ] {
            let error = parse_size(text).unwrap_err().to_string();
            assert!(error.contains("such as 64M"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn sizes_are_read_as_they_are_written(bytes: u64) {
            prop_assert_eq!(parse_size(&bytes.to_string()), Ok(ByteSize(bytes)));
            prop_assert_eq!(parse_size(&format!("{bytes}B")), Ok(ByteSize(bytes)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text: String) {
            let _ = parse_size(&text);
        }
    }
}
