//! What takes processor time away from a run: the outer hypervisor, heat, and a cgroup's quota. The
//! kernel counts all three. The counts are read for the host's description, and again before and
//! after a run's samples.

use std::fs;
use std::path::{Path, PathBuf};

use isobench_container::cgroup::{Controller, Hierarchies};
use procfs::{CurrentSI as _, KernelStats};

use super::{Finding, read_setting};

/// The share of the processors' time above which the time that the outer hypervisor takes is
/// reported.
const NOTICEABLE: f64 = 0.01;

/// The kernel's counts since the host was booted, read at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interference {
    /// Ticks that the outer hypervisor gave to other machines.
    stolen: u64,
    /// Ticks of all kinds.
    ticks: u64,
    /// The number of times that a processor was slowed down because of heat.
    slowed_by_heat: u64,
    /// The number of periods in which the cgroup of this process used up its quota.
    throttled: u64,
}

impl Interference {
    /// Reads the counts. A count that this host doesn't have is 0.
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
            slowed_by_heat: slowed_by_heat(Path::new("/sys/devices/system/cpu")),
            throttled: own_group().map_or(0, |group| throttled(&group)),
        }
    }

    /// A warning for each kind of interference between `before` and `self`. On a quiet host there
    /// is none.
    pub fn warnings_since(self, before: Self) -> Vec<String> {
        let ticks = self.ticks.saturating_sub(before.ticks).max(1);
        let stolen = self.stolen.saturating_sub(before.stolen) as f64 / ticks as f64;
        let slowed = self.slowed_by_heat.saturating_sub(before.slowed_by_heat);
        let throttled = self.throttled.saturating_sub(before.throttled);
        let mut warnings = Vec::new();
        if stolen >= NOTICEABLE {
            warnings.push(format!(
                "the outer hypervisor took {:.1} % of the processors' time during the run",
                stolen * 100.0
            ));
        }
        if slowed > 0 {
            warnings.push(format!(
                "processors were slowed down {slowed} times during the run because of heat"
            ));
        }
        if throttled > 0 {
            warnings.push(format!(
                "isobench's own cgroup used up its processor time in {throttled} periods of the run"
            ));
        }
        warnings
    }
}

pub(super) fn findings() -> Vec<Finding> {
    let now = Interference::now();
    vec![stolen(now), heat(now), quota()]
}

fn stolen(now: Interference) -> Finding {
    let share = now.stolen as f64 / now.ticks.max(1) as f64;
    let value = format!("{:.2} % since boot", share * 100.0);
    let finding = Finding::fine("steal", "Time taken by a hypervisor", value);
    if share < NOTICEABLE {
        return finding;
    }
    finding.concern(
        "an outer hypervisor runs other machines on these processors",
        "use a machine that shares its processors with no other",
    )
}

fn heat(now: Interference) -> Finding {
    let value = match now.slowed_by_heat {
        0 => "never, or not reported".to_owned(),
        times => format!("{times} times since boot"),
    };
    let finding = Finding::fine("thermal", "Slowed down by heat", value);
    if now.slowed_by_heat == 0 {
        return finding;
    }
    finding.concern(
        "the clock rate fell because a processor was hot, and may fall again",
        "cool the machine, or run shorter profiles",
    )
}

fn quota() -> Finding {
    let finding = |value: String| Finding::fine("cpu-quota", "Quota of processor time", value);
    let Some(quota) = own_group().and_then(|group| quota_of(&group)) else {
        return finding("none found".to_owned());
    };
    finding(format!("{quota:.2} CPUs")).concern(
        "the kernel stops isobench and its instances when the quota is used up",
        "run isobench in a cgroup without a quota (cpu.max, cpu.cfs_quota_us)",
    )
}

/// The directory of this process's cgroup, in the hierarchy that counts processor time.
fn own_group() -> Option<PathBuf> {
    let hierarchies = Hierarchies::detect_for(&[Controller::Cpu]).ok()?;
    Some(hierarchies.of(Controller::Cpu).ok()?.home.clone())
}

/// How many processors' time the cgroup `directory` may use; `None` if there is no limit.
fn quota_of(directory: &Path) -> Option<f64> {
    let read = |file: &str| fs::read_to_string(directory.join(file)).ok();
    let (quota, period) = match read("cpu.max") {
        Some(both) => {
            let (quota, period) = both.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        None => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    // Without a limit, cgroup v2 says "max" and v1 says -1.
    let quota: f64 = quota.trim().parse().ok().filter(|quota| *quota > 0.0)?;
    let period: f64 = period.trim().parse().ok().filter(|period| *period > 0.0)?;
    Some(quota / period)
}

/// The number of periods in which the cgroup `directory` used up its quota.
fn throttled(directory: &Path) -> u64 {
    let text = fs::read_to_string(directory.join("cpu.stat")).unwrap_or_default();
    let count = |line: &str| line.strip_prefix("nr_throttled ")?.trim().parse().ok();
    text.lines().find_map(count).unwrap_or_default()
}

/// How often cores were slowed down by heat. Packages have a count as well, but each of their
/// processors repeats it, so a sum would count one event many times.
fn slowed_by_heat(cpus: &Path) -> u64 {
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
    fn warnings_are_about_the_time_between_two_readings() {
        let before = Interference {
            stolen: 500,
            ticks: 10_000,
            slowed_by_heat: 3,
            throttled: 7,
        };
        assert_eq!(before.warnings_since(before), Vec::<String>::new());
        let after = Interference {
            stolen: 520,
            ticks: 11_000,
            slowed_by_heat: 4,
            throttled: 9,
        };
        let warnings = after.warnings_since(before);
        assert_eq!(warnings.len(), 3);
        assert!(warnings[0].contains("2.0 %"), "{warnings:?}");
        assert!(warnings[1].contains("1 times"), "{warnings:?}");
        assert!(warnings[2].contains("2 periods"), "{warnings:?}");
    }

    #[test]
    fn a_quota_is_read_in_both_cgroup_versions() {
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
