//! What a cgroup can limit, and how each version of cgroups spells the limit.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::block_device::BlockDevice;
use super::controller::Controller;
use super::version::Version;
use crate::size::parse_size;

/// One limit on a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// The limit on memory, page cache included.
    Memory(ByteSize),
    /// The limit on processes and threads.
    Pids(NonZeroU32),
    /// The limit on processor time.
    Cpus(Cpus),
    /// The limit on reading from or writing to a device, in bytes a second.
    Io(BlockDevice, Direction, ByteSize),
}

impl Limit {
    /// The controller that enforces the limit.
    pub const fn controller(self) -> Controller {
        match self {
            Self::Memory(_) => Controller::Memory,
            Self::Pids(_) => Controller::Pids,
            Self::Cpus(_) => Controller::Cpu,
            Self::Io(..) => Controller::Io,
        }
    }

    /// The file of a cgroup that the limit is written to.
    pub const fn file(self, version: Version) -> &'static str {
        match (self, version) {
            (Self::Memory(_), Version::V1) => "memory.limit_in_bytes",
            (Self::Memory(_), Version::V2) => "memory.max",
            (Self::Pids(_), _) => "pids.max",
            (Self::Cpus(_), Version::V1) => "cpu.cfs_quota_us",
            (Self::Cpus(_), Version::V2) => "cpu.max",
            (Self::Io(_, Direction::Read, _), Version::V1) => "blkio.throttle.read_bps_device",
            (Self::Io(_, Direction::Write, _), Version::V1) => "blkio.throttle.write_bps_device",
            (Self::Io(..), Version::V2) => "io.max",
        }
    }

    /// The text that is written to the file. For processor time the text is the quota alone, which
    /// leaves the period of a new group, [`Cpus::PERIOD`], as it is.
    pub fn text(self, version: Version) -> String {
        match self {
            Self::Memory(bytes) => bytes.as_u64().to_string(),
            Self::Pids(count) => count.to_string(),
            Self::Cpus(cpus) => cpus.quota().as_micros().to_string(),
            Self::Io(device, direction, rate) => {
                let key = match (version, direction) {
                    (Version::V1, _) => "",
                    (Version::V2, Direction::Read) => "rbps=",
                    (Version::V2, Direction::Write) => "wbps=",
                };
                format!("{device} {key}{}", rate.as_u64())
            }
        }
    }
}

/// An amount of processor time, in processors: 0.5 is half of one processor's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cpus {
    /// Processor time in each period.
    quota: Duration,
}

/// A text that is no number of [`Cpus`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a number of CPUs: give one between 0.01 and 10000, such as 0.5")]
pub struct CpusSyntaxError {
    text: String,
}

impl Cpus {
    /// The time in which the quota may be used up. This is the kernel's default.
    pub const PERIOD: Duration = Duration::from_millis(100);
    /// The numbers that the kernel takes: a quota is at least a millisecond.
    const RANGE: std::ops::RangeInclusive<f64> = 0.01..=10_000.0;

    /// Processor time in each period.
    pub const fn quota(self) -> Duration {
        self.quota
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.quota.div_duration_f64(Self::PERIOD))
    }
}

impl FromStr for Cpus {
    type Err = CpusSyntaxError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let cpus = text.parse().ok().filter(|cpus| Self::RANGE.contains(cpus));
        let quota = cpus.map(|cpus| Self::PERIOD.mul_f64(cpus));
        quota.map(|quota| Self { quota }).ok_or(CpusSyntaxError {
            text: text.to_owned(),
        })
    }
}

/// The direction of input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the device.
    Read,
    /// To the device.
    Write,
}

/// A rate for the device behind a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IoRate {
    /// A block device, or a path on a file system that is on a block device.
    pub path: PathBuf,
    /// Bytes a second.
    pub rate: ByteSize,
}

impl IoRate {
    /// The text from which this rate can be read. The path keeps its bytes, UTF-8 or not.
    pub fn to_argument(&self) -> OsString {
        let mut text = self.path.clone().into_os_string();
        text.push(format!(":{}B", self.rate.as_u64()));
        text
    }
}

/// A text that is no [`IoRate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not PATH:RATE with a rate above zero in bytes a second, such as /dev/sda:10MiB"
)]
pub struct IoRateSyntaxError {
    text: String,
}

impl FromStr for IoRate {
    type Err = IoRateSyntaxError;

    /// Reads `PATH:RATE`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (path, rate) = text.rsplit_once(':').filter(|(path, _)| !path.is_empty())?;
            let rate = parse_size(rate).ok()?;
            (rate > ByteSize(0)).then(|| Self {
                path: path.into(),
                rate,
            })
        };
        parse().ok_or_else(|| IoRateSyntaxError {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use std::path::Path;

    use super::*;

    #[test]
    fn each_version_spells_a_limit_in_its_own_way() {
        let device = BlockDevice::parse("254:16").unwrap();
        let cpus = Limit::Cpus("0.5".parse().unwrap());
        let read = Limit::Io(device, Direction::Read, ByteSize::mib(1));
        let write = Limit::Io(device, Direction::Write, ByteSize::kib(1));
        for (limit, version, file, text) in [
            (cpus, Version::V1, "cpu.cfs_quota_us", "50000"),
            (cpus, Version::V2, "cpu.max", "50000"),
            (
                read,
                Version::V1,
                "blkio.throttle.read_bps_device",
                "254:16 1048576",
            ),
            (read, Version::V2, "io.max", "254:16 rbps=1048576"),
            (
                write,
                Version::V1,
                "blkio.throttle.write_bps_device",
                "254:16 1024",
            ),
            (write, Version::V2, "io.max", "254:16 wbps=1024"),
        ] {
            assert_eq!(
                (limit.file(version), limit.text(version).as_str()),
                (file, text)
            );
        }
    }

    #[test]
    fn a_number_of_cpus_is_a_quota_of_each_period() {
        let quota = |text: &str| text.parse::<Cpus>().unwrap().quota();
        assert_eq!(quota("0.01"), Duration::from_millis(1));
        assert_eq!(quota("2"), Duration::from_millis(200));
        assert_eq!("0.25".parse::<Cpus>().unwrap().to_string(), "0.25");
    }

    #[test]
    fn a_number_of_cpus_that_the_kernel_refuses_is_an_error() {
        for text in ["", "0", "0.001", "-1", "nan", "inf", "1e9", "half"] {
            let error = text.parse::<Cpus>().unwrap_err().to_string();
            assert!(error.contains("between 0.01 and 10000"), "{error}");
        }
    }

    #[test]
    fn the_path_of_a_rate_may_hold_a_colon() {
        let rate: IoRate = "/a:b:1MiB".parse().unwrap();
        assert_eq!(
            (rate.path.as_path(), rate.rate),
            (Path::new("/a:b"), ByteSize::mib(1))
        );
        assert_eq!(rate.to_argument(), "/a:b:1048576B");
    }

    #[test]
    fn a_text_that_is_no_rate_is_an_error() {
        for text in ["", "/a", ":1MiB", "/a:", "/a:0", "/a:fast"] {
            assert!(text.parse::<IoRate>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_limit_or_an_error(text: String) {
            let _ = text.parse::<Cpus>();
            let _ = text.parse::<IoRate>();
        }
    }
}
