//! Block devices, found by a path.

use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// A whole block device, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockDevice {
    major: u64,
    minor: u64,
}

/// No device that can be limited is behind a path.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what the variant is")]
pub enum DeviceError {
    #[error("cannot find the device behind {path:?}")]
    Unreachable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path:?} is on no single block device: name the device that is to be limited")]
    None { path: PathBuf },
}

impl BlockDevice {
    /// The block device at `path`, or the device of the file system that `path` is on. For a
    /// partition the result is the whole disk, since only a whole device can be limited.
    ///
    /// # Errors
    /// There is no such device, as on tmpfs, overlayfs or btrfs.
    pub fn behind(path: &Path) -> Result<Self, DeviceError> {
        let unreachable = |source| DeviceError::Unreachable {
            path: path.to_owned(),
            source,
        };
        let metadata = fs::metadata(path).map_err(unreachable)?;
        let number = if metadata.file_type().is_block_device() {
            metadata.rdev()
        } else {
            metadata.dev()
        };
        let none = || DeviceError::None {
            path: path.to_owned(),
        };
        let own = Self {
            major: libc::major(number).into(),
            minor: libc::minor(number).into(),
        };
        let listed = PathBuf::from(format!("/sys/dev/block/{own}"));
        if own.major == 0 || !listed.exists() {
            return Err(none());
        }
        if !listed.join("partition").exists() {
            return Ok(own);
        }
        let disk = fs::read_to_string(listed.join("../dev")).map_err(unreachable)?;
        Self::parse(disk.trim()).ok_or_else(none)
    }

    /// Reads `MAJOR:MINOR`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once(':')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

impl fmt::Display for BlockDevice {
    /// Writes `MAJOR:MINOR`, as the kernel does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_system_without_a_device_is_refused() {
        let error = BlockDevice::behind(Path::new("/proc/version")).unwrap_err();
        assert!(matches!(error, DeviceError::None { .. }), "{error}");
    }

    #[test]
    fn a_path_that_does_not_exist_is_refused() {
        let error = BlockDevice::behind(Path::new("/no/such")).unwrap_err();
        assert!(matches!(error, DeviceError::Unreachable { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_device_or_none(text: String) {
            if let Some(device) = BlockDevice::parse(&text) {
                prop_assert_eq!(BlockDevice::parse(&device.to_string()), Some(device));
            }
        }
    }
}
