//! Extended attributes of open files (xattr(7)).

use std::os::fd::AsFd;

use nix::errno::Errno;
use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};

use crate::sys::errno;

/// The most bytes that the value of an attribute, or the list of all names, can have
/// (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const MAX_BYTES: usize = 64 * 1024;

/// An attribute: its name and its value.
pub type Attribute = (Vec<u8>, Vec<u8>);

/// The attributes of `file` whose names `is_wanted` holds for.
pub fn read_all(file: impl AsFd, is_wanted: impl Fn(&[u8]) -> bool) -> nix::Result<Vec<Attribute>> {
    let mut names = vec![0; MAX_BYTES];
    let length = flistxattr(&file, &mut names[..]).map_err(errno)?;
    let mut attributes = Vec::new();
    for name in names[..length].split(|byte| *byte == 0) {
        if !name.is_empty() && is_wanted(name) {
            let value = read(&file, name)?.unwrap_or_default();
            attributes.push((name.to_vec(), value));
        }
    }
    Ok(attributes)
}

/// The value of the attribute `name` of `file`; `None` if the file has no such attribute.
pub fn read(file: impl AsFd, name: &[u8]) -> nix::Result<Option<Vec<u8>>> {
    let mut value = vec![0; MAX_BYTES];
    match fgetxattr(file, name, &mut value[..]).map_err(errno) {
        Ok(length) => {
            value.truncate(length);
            Ok(Some(value))
        }
        Err(Errno::ENODATA) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether `file` has the attribute `name` with the value `expected`, which is a short one.
pub fn is(file: impl AsFd, name: &[u8], expected: &[u8]) -> nix::Result<bool> {
    let mut value = [0; 8];
    match fgetxattr(file, name, &mut value[..]).map_err(errno) {
        Ok(length) => Ok(value[..length] == *expected),
        // The file has no such attribute, or one with a longer value.
        Err(Errno::ENODATA | Errno::ERANGE) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives `file` the attribute `name` with this value.
pub fn write(file: impl AsFd, name: &[u8], value: &[u8]) -> nix::Result<()> {
    fsetxattr(file, name, value, XattrFlags::empty()).map_err(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_read_as_it_is_written() {
        let file = tempfile::tempfile().unwrap();
        write(&file, b"user.a", b"1\n2").unwrap();
        assert_eq!(read(&file, b"user.a"), Ok(Some(b"1\n2".to_vec())));
        assert_eq!(read(&file, b"user.b"), Ok(None));
        assert_eq!(is(&file, b"user.a", b"1\n2"), Ok(true));
        assert_eq!(is(&file, b"user.a", b"1"), Ok(false));
        assert_eq!(is(&file, b"user.b", b""), Ok(false));
        write(&file, b"user.a", &[1; 100]).unwrap();
        assert_eq!(is(&file, b"user.a", b"1"), Ok(false));
        write(&file, b"user.a", b"1\n2").unwrap();
        let all = read_all(&file, |name| name.starts_with(b"user."));
        assert_eq!(all, Ok(vec![(b"user.a".to_vec(), b"1\n2".to_vec())]));
    }
}
