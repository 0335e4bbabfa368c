//! What a member's header says, and the extended headers and long names before it.

use tar::Header;

use super::fault::ArchiveFault;

/// The prefix of extended attributes' names in extended headers.
const ATTRIBUTE: &[u8] = b"SCHILY.xattr.";

/// The key and the value of a record of an extended header.
pub type Record = (Vec<u8>, Vec<u8>);

/// What extended headers and long names say of the member that follows them.
#[derive(Default)]
pub struct Extensions {
    /// The long name.
    pub name: Option<Vec<u8>>,
    /// The long name of a link's target.
    pub link: Option<Vec<u8>>,
    /// The keys and values of the extended header.
    pub records: Vec<Record>,
}

impl Extensions {
    /// The value of the last record with this key. Earlier records do not count.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        let found = self.records.iter().rev().find(|(k, _)| k == key.as_bytes());
        found.map(|(_, value)| value.as_slice())
    }

    /// The number with this key. A negative one, which some tools write for nobody's id, is as large
    /// as the number without a sign.
    pub fn number(&self, field: &'static str) -> Result<Option<u64>, ArchiveFault> {
        let parse = |value| {
            let text = std::str::from_utf8(value).ok()?;
            let unsigned = text.parse::<u64>().ok();
            unsigned.or_else(|| Some(text.parse::<i64>().ok()?.cast_unsigned()))
        };
        self.get(field)
            .map(|value| parse(value).ok_or(ArchiveFault::Number { field }))
            .transpose()
    }

    /// The names and values of the extended attributes.
    pub fn attributes(&self) -> Vec<Record> {
        let named =
            |(key, value): &Record| Some((key.strip_prefix(ATTRIBUTE)?.to_vec(), value.clone()));
        self.records.iter().filter_map(named).collect()
    }
}

/// A number of a member. An extended header may give it in place of the header.
pub fn field(
    header: &Header,
    extensions: &Extensions,
    field: &'static str,
) -> Result<u64, ArchiveFault> {
    match extensions.number(field)? {
        Some(number) => Ok(number),
        None => number(header, field),
    }
}

/// A number of the header.
pub fn number(header: &Header, field: &'static str) -> Result<u64, ArchiveFault> {
    let old = header.as_old();
    let (bytes, number) = match field {
        "mode" => (&old.mode[..], header.mode().map(u64::from)),
        "uid" => (&old.uid[..], header.uid()),
        "gid" => (&old.gid[..], header.gid()),
        _ => (&old.size[..], header.entry_size()),
    };
    // Some tools leave out what is zero.
    if bytes.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    number.map_err(|_| ArchiveFault::Number { field })
}

/// The time of the last change: seconds since 1970, and nanoseconds. A time beyond 64 bits is the
/// nearest within, as file systems have even fewer.
pub fn mtime(header: &Header, extensions: &Extensions) -> Result<(i64, u32), ArchiveFault> {
    const FAULT: ArchiveFault = ArchiveFault::Number { field: "mtime" };
    if let Some(value) = extensions.get("mtime") {
        return parse_time(value).ok_or(FAULT);
    }
    let bytes = header.as_old().mtime;
    if bytes[0] & 0x80 != 0 {
        return Ok((binary(bytes), 0));
    }
    if bytes.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok((0, 0));
    }
    let seconds = header.mtime().map_err(|_| FAULT)?;
    Ok((i64::try_from(seconds).unwrap_or(i64::MAX), 0))
}

/// A number in GNU tar's binary form: the highest bit marks the form, and what follows is in two's
/// complement.
fn binary(bytes: [u8; 12]) -> i64 {
    let negative = bytes[0] & 0x40 != 0;
    let first = if negative { bytes[0] } else { bytes[0] & 0x7f };
    let start = i128::from(first.cast_signed());
    let rest = bytes[1..].iter();
    let number = rest.fold(start, |number, byte| number << 8 | i128::from(*byte));
    let nearest = number.clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from(nearest).unwrap_or_default()
}

/// Reads seconds with a fraction, such as `1700000000.25`: whole seconds, and nanoseconds after
/// them.
fn parse_time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_negative = whole.starts_with('-');
    let digits = whole.strip_prefix('-').unwrap_or(whole);
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if digits.is_empty() || !are_digits(digits) || !are_digits(fraction) {
        return None;
    }
    let seconds = whole
        .parse()
        .unwrap_or(if is_negative { i64::MIN } else { i64::MAX });
    let fraction: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    match fraction.parse().ok()? {
        0 => Some((seconds, 0)),
        nanoseconds if is_negative => {
            Some((seconds.saturating_sub(1), 1_000_000_000 - nanoseconds))
        }
        nanoseconds => Some((seconds, nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_with_its_fraction() {
        for (text, time) in [
            ("0", Some((0, 0))),
            ("1.000000001", Some((1, 1))),
            ("1.0000000019", Some((1, 1))),
            ("-1.25", Some((-2, 750_000_000))),
            ("-0.5", Some((-1, 500_000_000))),
            ("99999999999999999999", Some((i64::MAX, 0))),
            ("-99999999999999999999.5", Some((i64::MIN, 500_000_000))),
            ("1.2x", None),
            ("", None),
            ("-", None),
            ("x", None),
            ("1.-5", None),
        ] {
            assert_eq!(parse_time(text.as_bytes()), time, "{text}");
        }
    }

    #[test]
    fn a_binary_time_may_be_before_1970_and_huge() {
        let mut header = Header::new_gnu();
        let mut time = |bytes: [u8; 12]| {
            header.as_old_mut().mtime = bytes;
            mtime(&header, &Extensions::default()).unwrap()
        };
        let with = |first: u8, rest: u8, last: u8| {
            let mut bytes = [rest; 12];
            (bytes[0], bytes[11]) = (first, last);
            bytes
        };
        assert_eq!(time(with(0x80, 0, 5)), (5, 0));
        assert_eq!(time(with(0xff, 0xff, 0xff)), (-1, 0));
        assert_eq!(time(with(0xff, 0xff, 0)), (-256, 0));
        assert_eq!(time(with(0xbf, 0xff, 0)), (i64::MAX, 0));
        assert_eq!(time(with(0xc0, 0, 0)), (i64::MIN, 0));
        assert_eq!(time(*b"00000000007\0"), (7, 0));
    }
}
