//! The records of a PAX extended header: `LENGTH KEY=VALUE\n`, over and over (pax(1), POSIX).
//!
//! Read here because the tar crate looks for the line's end, and values of extended attributes may hold one.

/// Bytes that are no PAX records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an extended header is malformed")]
pub struct PaxFault;

/// Key and value.
pub type Record<'a> = (&'a [u8], &'a [u8]);

/// The records of `bytes`: key and value, in their order.
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

/// `KEY=VALUE` of the first record, and what comes after it.
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
    fn a_value_may_hold_a_lines_end() {
        let bytes = b"16 path=some/it\n12 x=a\n=b\0c\n";
        let expected: Vec<Record<'_>> = vec![(b"path", b"some/it"), (b"x", b"a\n=b\0c")];
        assert_eq!(records(bytes), Ok(expected));
        assert_eq!(records(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_malformed_is_refused() {
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
        fn what_is_written_is_read_back(pairs: Vec<(String, Vec<u8>)>) {
            let mut bytes = Vec::new();
            let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| (key.replace('=', ""), value)).collect();
            for (key, value) in &pairs {
                let rest = key.len() + value.len() + 3;
                let length = (rest..rest + 9).find(|all| rest + all.to_string().len() == *all).unwrap();
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
