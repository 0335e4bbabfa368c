//! What a container's cgroups have counted, under either version of cgroups.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;

use super::directory::Cgroup;
use super::memory::statistic;
use super::version::Version;

/// What the processes of a group have used. A field is `None` if no cgroup of the group counts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Processor time.
    pub cpu: Option<Duration>,
    /// How long a limit has kept threads with work to do from the processors, summed over
    /// processors.
    pub throttled: Option<Duration>,
    /// The most memory that was charged at one time.
    pub memory_peak: Option<ByteSize>,
    /// Processes and threads at this moment.
    pub processes: Option<u64>,
    /// The most processes and threads at one time. Old kernels do not count this.
    pub processes_peak: Option<u64>,
    /// Bytes read from block devices. v1 counts only devices for which some group has a limit.
    pub read: Option<ByteSize>,
    /// Bytes written to block devices. v1 does not count writes through the page cache.
    pub written: Option<ByteSize>,
}

impl Usage {
    /// Reads what `cgroups`, the cgroups of one group in all hierarchies, have counted.
    pub fn of(cgroups: &[Cgroup]) -> Self {
        let mut usage = Self::default();
        for cgroup in cgroups {
            let text = |file| cgroup.read(file).ok();
            let one = match cgroup.version() {
                Version::V1 => Self::from_v1(text),
                Version::V2 => Self::from_v2(text),
            };
            usage = usage.or(one);
        }
        usage
    }

    fn from_v1(text: impl Fn(&'static str) -> Option<String>) -> Self {
        let number = |file| text(file).and_then(|text| text.trim().parse::<u64>().ok());
        let throttled = text("cpu.stat").and_then(|text| statistic(&text, "throttled_time"));
        let io = text("blkio.throttle.io_service_bytes");
        let bytes = |word| io.as_deref().map(|text| service_bytes(text, word));
        Self {
            cpu: number("cpuacct.usage").map(Duration::from_nanos),
            throttled: throttled.map(Duration::from_nanos),
            memory_peak: number("memory.max_usage_in_bytes").map(ByteSize),
            processes: number("pids.current"),
            processes_peak: number("pids.peak"),
            read: bytes("Read"),
            written: bytes("Write"),
        }
    }

    fn from_v2(text: impl Fn(&'static str) -> Option<String>) -> Self {
        let number = |file| text(file).and_then(|text| text.trim().parse::<u64>().ok());
        let cpu = text("cpu.stat").unwrap_or_default();
        let io = text("io.stat");
        let bytes = |key| io.as_deref().map(|text| io_bytes(text, key));
        Self {
            cpu: statistic(&cpu, "usage_usec").map(Duration::from_micros),
            throttled: statistic(&cpu, "throttled_usec").map(Duration::from_micros),
            memory_peak: number("memory.peak").map(ByteSize),
            processes: number("pids.current"),
            processes_peak: number("pids.peak"),
            read: bytes("rbytes="),
            written: bytes("wbytes="),
        }
    }

    /// The fields of `self`, and those of `other` where `self` has none.
    fn or(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            throttled: self.throttled.or(other.throttled),
            memory_peak: self.memory_peak.or(other.memory_peak),
            processes: self.processes.or(other.processes),
            processes_peak: self.processes_peak.or(other.processes_peak),
            read: self.read.or(other.read),
            written: self.written.or(other.written),
        }
    }
}

impl fmt::Display for Usage {
    /// Writes everything that is known, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |what: &str, time: Option<Duration>| {
            time.map(|time| format!("{:.3} s {what}", time.as_secs_f64()))
        };
        let bytes = |what: &str, size: Option<ByteSize>| {
            size.map(|size| format!("{} {what}", size.display().iec()))
        };
        let parts = [
            seconds("of CPU time", self.cpu),
            seconds("throttled", self.throttled),
            bytes("of memory at most", self.memory_peak),
            self.processes_peak
                .map(|count| format!("{count} threads at most")),
            bytes("read", self.read),
            bytes("written", self.written),
        ];
        let known: Vec<String> = parts.into_iter().flatten().collect();
        if known.is_empty() {
            return f.write_str("nothing that a cgroup counts");
        }
        f.write_str(&known.join(", "))
    }
}

/// The sum over devices of the bytes after `word` in `blkio.throttle.io_service_bytes`, whose lines
/// are `MAJOR:MINOR WORD BYTES`.
fn service_bytes(text: &str, word: &str) -> ByteSize {
    let value = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        (fields.next()? == word).then(|| fields.next()?.parse::<u64>().ok())?
    };
    sum(text.lines().filter_map(value))
}

/// The sum over devices of the values of `key` in `io.stat`, whose lines are
/// `MAJOR:MINOR key=value ...`.
fn io_bytes(text: &str, key: &str) -> ByteSize {
    let value = |word: &str| word.strip_prefix(key)?.parse::<u64>().ok();
    sum(text.split_whitespace().filter_map(value))
}

fn sum(bytes: impl Iterator<Item = u64>) -> ByteSize {
    ByteSize(bytes.fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(files: &[(&str, &str)], wanted: &str) -> Option<String> {
        let found = files.iter().find(|(name, _)| *name == wanted)?;
        Some(found.1.to_owned())
    }

    #[test]
    fn files_of_version_1_are_read() {
        let files = [
            ("cpuacct.usage", "1500000000\n"),
            (
                "cpu.stat",
                "nr_periods 9\nnr_throttled 4\nthrottled_time 250000000\n",
            ),
            ("memory.max_usage_in_bytes", "4096\n"),
            ("pids.current", "2\n"),
            (
                "blkio.throttle.io_service_bytes",
                "254:0 Read 10\n254:0 Write 20\n254:0 Total 30\n8:0 Read 5\nTotal 35\n",
            ),
        ];
        let usage = Usage::from_v1(|name| file(&files, name));
        let expected = Usage {
            cpu: Some(Duration::from_millis(1500)),
            throttled: Some(Duration::from_millis(250)),
            memory_peak: Some(ByteSize(4096)),
            processes: Some(2),
            processes_peak: None,
            read: Some(ByteSize(15)),
            written: Some(ByteSize(20)),
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn files_of_version_2_are_read() {
        let files = [
            (
                "cpu.stat",
                "usage_usec 1500000\nuser_usec 1\nnr_throttled 4\nthrottled_usec 250000\n",
            ),
            ("memory.peak", "4096\n"),
            ("pids.current", "2\n"),
            ("pids.peak", "5\n"),
            (
                "io.stat",
                "254:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n8:0 rbytes=5 wbytes=0\n",
            ),
        ];
        let usage = Usage::from_v2(|name| file(&files, name));
        assert_eq!(
            usage.to_string(),
            "1.500 s of CPU time, 0.250 s throttled, 4.0 KiB of memory at most, \
             5 threads at most, 15 B read, 20 B written"
        );
    }

    #[test]
    fn a_number_that_no_cgroup_counts_is_not_zero() {
        let nothing = Usage::from_v1(|_| None);
        assert_eq!(nothing, Usage::default());
        assert_eq!(nothing.to_string(), "nothing that a cgroup counts");
        assert_eq!(Usage::from_v2(|_| None), Usage::default());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text: String) {
            let _ = Usage::from_v1(|_| Some(text.clone()));
            let _ = Usage::from_v2(|_| Some(text.clone()));
        }
    }
}
