//! The records of a PAX extended header, each of which is `LENGTH KEY=VALUE\n` (pax(1), POSIX).
//!
//! The tar crate's own reader splits records at line ends, which values of extended attributes may
//! hold.

/// Bytes that are no PAX records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an extended header is malformed")]
pub struct PaxFault;

/// The key and the value of a record.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// The records of `bytes`, in their order.
pub fn records(mut bytes: &[u8]) -> Result<Vec<Record<'_>>, PaxFault> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = split_record(bytes).ok_or(PaxFault)?;
        let equals = record.iter().position(|byte| *byte == b'=');
        let (key, value) = record.split_at(equals.ok_or(PaxFault)?);
        records.push((key, &value[1..]));
        bytes = rest;
    }
    Ok(records)
}

/// The `KEY=VALUE` of the first record, and the bytes after the record.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    Some((record, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_may_hold_a_line_end() {
        let bytes = b"16 path=some/it\n12 x=a\n=b\0c\n";
        let expected: Vec<Record<'_>> = vec![(b"path", b"some/it"), (b"x", b"a\n=b\0c")];
        assert_eq!(records(bytes), Ok(expected));
        assert_eq!(records(b""), Ok(Vec::new()));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bytes in [
            "x",
            "5 a=b",
            "99 a=b\n",
            "0 a=b\n",
            "4 ab\n",
            "6 a=b\n\n",
            "-6 a=b\n",
        ] {
            assert_eq!(records(bytes.as_bytes()), Err(PaxFault), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn records_are_read_as_they_are_written(pairs: Vec<(String, Vec<u8>)>) {
            let mut bytes = Vec::new();
            let plain = |(key, value): (String, Vec<u8>)| (key.replace('=', ""), value);
            let pairs: Vec<_> = pairs.into_iter().map(plain).collect();
            for (key, value) in &pairs {
                let rest = key.len() + value.len() + 3;
                let fits = |all: &usize| rest + all.to_string().len() == *all;
                let length = (rest..rest + 9).find(fits).unwrap();
                bytes.extend_from_slice(format!("{length} {key}=").as_bytes());
                bytes.extend_from_slice(value);
                bytes.push(b'\n');
            }
            let read = records(&bytes).unwrap();
            let expected: Vec<Record<'_>> =
                pairs.iter().map(|(key, value)| (key.as_bytes(), &value[..])).collect();
            prop_assert_eq!(read, expected);
        }

        #[test]
        fn any_bytes_are_records_or_refused(bytes: Vec<u8>) {
            let _ = records(&bytes);
        }
    }
}
