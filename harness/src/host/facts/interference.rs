//! What takes processor time away from a run: the outer hypervisor, heat, a cgroup's quota. Each is a count that the kernel
//! keeps, read once for the host's description and again around a run's samples.

use std::fs;
use std::path::{Path, PathBuf};

use isobench_container::cgroup::{Controller, Hierarchies};
use procfs::{CurrentSI as _, KernelStats};

use super::{Finding, read_setting};

/// The part of the processors' time from which on the outer hypervisor's taking is worth a word.
const NOTICEABLE: f64 = 0.01;

/// The counts at one moment, since the host was started.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interference {
    /// Ticks that the outer hypervisor gave to somebody else.
    stolen: u64,
    /// Ticks of all kinds.
    ticks: u64,
    /// How often a processor was slowed down because it was hot.
    hot: u64,
    /// Periods in which the cgroup of this process had used up its quota.
    throttled: u64,
}

impl Interference {
    /// Reads the counts; one that this host doesn't have stays 0.
    pub fn now() -> Self {
        let total = KernelStats::current().map(|stats| stats.total).ok();
        let (stolen, ticks) = total.map_or((0, 0), |cpu| {
            let stolen = cpu.steal.unwrap_or_default();
            let idle = cpu.idle + cpu.iowait.unwrap_or_default();
            let interrupts = cpu.irq.unwrap_or_default() + cpu.softirq.unwrap_or_default();
            (
                stolen,
                cpu.user + cpu.nice + cpu.system + idle + interrupts + stolen,
            )
        });
        Self {
            stolen,
            ticks,
            hot: heat(Path::new("/sys/devices/system/cpu")),
            throttled: own_group().map_or(0, |group| throttled(&group)),
        }
    }

    /// What came between `before` and now, in words: nothing, on a quiet host.
    pub fn since(self, before: Self) -> Vec<String> {
        let ticks = self.ticks.saturating_sub(before.ticks).max(1);
        let stolen = self.stolen.saturating_sub(before.stolen) as f64 / ticks as f64;
        let hot = self.hot.saturating_sub(before.hot);
        let throttled = self.throttled.saturating_sub(before.throttled);
        let mut words = Vec::new();
        if stolen >= NOTICEABLE {
            words.push(format!(
                "the outer hypervisor took {:.1} % of the processors' time during the run",
                stolen * 100.0
            ));
        }
        if hot > 0 {
            words.push(format!(
                "processors were slowed down {hot} times during the run because they were hot"
            ));
        }
        if throttled > 0 {
            words.push(format!(
                "isobench's own cgroup had used up its processor time in {throttled} periods of the run"
            ));
        }
        words
    }
}

pub(super) fn findings() -> Vec<Finding> {
    let now = Interference::now();
    vec![stolen(now), hot(now), quota()]
}

fn stolen(now: Interference) -> Finding {
    let part = now.stolen as f64 / now.ticks.max(1) as f64;
    let value = format!("{:.2} % since the start", part * 100.0);
    let finding = Finding::fine("steal", "Time taken by a hypervisor", value);
    if part < NOTICEABLE {
        return finding;
    }
    finding.concern(
        "an outer hypervisor runs other machines on these processors",
        "use a machine whose processors are its own",
    )
}

fn hot(now: Interference) -> Finding {
    let value = match now.hot {
        0 => "never, or not told".to_owned(),
        times => format!("{times} times since the start"),
    };
    let finding = Finding::fine("thermal", "Slowed down by heat", value);
    if now.hot == 0 {
        return finding;
    }
    finding.concern(
        "the clock rate fell because a processor was hot, and may again",
        "cool the machine, or run shorter profiles",
    )
}

fn quota() -> Finding {
    let finding = |value: String| Finding::fine("cpu-quota", "Quota of processor time", value);
    let Some(quota) = own_group().and_then(|group| quota_of(&group)) else {
        return finding("none found".to_owned());
    };
    finding(format!("{quota:.2} CPUs")).concern(
        "the kernel stops isobench and its instances whenever that is used up",
        "run it in a cgroup without a quota (cpu.max, cpu.cfs_quota_us)",
    )
}

/// The directory of the cgroup that this process is in, where processor time is counted.
fn own_group() -> Option<PathBuf> {
    let hierarchies = Hierarchies::detect_for(&[Controller::Cpu]).ok()?;
    Some(hierarchies.of(Controller::Cpu).ok()?.home.clone())
}

/// Processors' worth of time that the group in `directory` may use, if there is a limit.
fn quota_of(directory: &Path) -> Option<f64> {
    let read = |file: &str| fs::read_to_string(directory.join(file)).ok();
    let (quota, period) = match read("cpu.max") {
        Some(both) => {
            let (quota, period) = both.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    // No limit is "max" in version 2, and -1 in version 1.
    let quota: f64 = quota.trim().parse().ok().filter(|quota| *quota > 0.0)?;
    let period: f64 = period.trim().parse().ok().filter(|period| *period > 0.0)?;
    Some(quota / period)
}

fn throttled(directory: &Path) -> u64 {
    let text = fs::read_to_string(directory.join("cpu.stat")).unwrap_or_default();
    let count = |line: &str| line.strip_prefix("nr_throttled ")?.trim().parse().ok();
    text.lines().find_map(count).unwrap_or_default()
}

/// How often cores were slowed down by heat; packages say so for each of their processors again.
fn heat(cpus: &Path) -> u64 {
    let entries = fs::read_dir(cpus).into_iter().flatten().flatten();
    let counts = entries.filter_map(|entry| {
        let file = entry.path().join("thermal_throttle/core_throttle_count");
        read_setting(file.to_str()?)?.parse::<u64>().ok()
    });
    counts.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_came_between_is_told() {
        let before = Interference {
            stolen: 500,
            ticks: 10_000,
            hot: 3,
            throttled: 7,
        };
        assert_eq!(before.since(before), Vec::<String>::new());
        let after = Interference {
            stolen: 520,
            ticks: 11_000,
            hot: 4,
            throttled: 9,
        };
        let words = after.since(before);
        assert_eq!(words.len(), 3);
        assert!(
            words[0].contains("2.0 %") && words[2].contains("2 periods"),
            "{words:?}"
        );
    }

    #[test]
    fn a_quota_is_read_in_both_versions() {
        let directory = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(directory.path().join(file), text).unwrap();
        assert_eq!(quota_of(directory.path()), None);
        write("cpu.cfs_quota_us", "-1\n");
        write("cpu.cfs_period_us", "100000\n");
        assert_eq!(quota_of(directory.path()), None);
        write("cpu.cfs_quota_us", "150000\n");
        assert_eq!(quota_of(directory.path()), Some(1.5));
        write("cpu.max", "max 100000\n");
        assert_eq!(quota_of(directory.path()), None);
        write("cpu.max", "50000 100000\n");
        assert_eq!(quota_of(directory.path()), Some(0.5));
        write(
            "cpu.stat",
            "nr_periods 5\nnr_throttled 4\nthrottled_time 9\n",
        );
        assert_eq!(throttled(directory.path()), 4);
    }
}
