//! The settings that make timings noisy: which of them to change, and how to write and restore
//! them.
//!
//! SMT is not among them. Switching SMT off takes processors away from all other programs, and
//! moves the programs that run on these processors.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use isobench_reports::model::Setting;

use crate::host::facts::chosen_option;

const CPUS: &str = "sys/devices/system/cpu";
const HUGE_PAGES: &str = "sys/kernel/mm/transparent_hugepage/enabled";
const KSM: &str = "sys/kernel/mm/ksm/run";

/// The changes that would make timings steadier, in the files below `root`. A setting that is
/// steady already, or doesn't exist, isn't changed.
pub fn wanted_changes(root: &Path) -> Vec<Setting> {
    let mut changes = governor_changes(root);
    let value = |path: &str| read(root, path);
    // The file of Intel's own driver says 1 when turbo is off. The file of other drivers says 1
    // when boost is on.
    for (file, noisy, steady) in [
        ("intel_pstate/no_turbo", "0", "1"),
        ("cpufreq/boost", "1", "0"),
    ] {
        let path = format!("{CPUS}/{file}");
        if value(&path).as_deref() == Some(noisy) {
            changes.push(change(&path, noisy, steady));
        }
    }
    if value(HUGE_PAGES).as_deref().map(chosen_option) == Some("always") {
        changes.push(change(HUGE_PAGES, "always", "madvise"));
    }
    if value(KSM).as_deref() == Some("1") {
        changes.push(change(KSM, "1", "0"));
    }
    changes
}

/// The processors whose frequency governor is to become `performance`.
fn governor_changes(root: &Path) -> Vec<Setting> {
    let mut changes = Vec::new();
    for cpu in cpus(root) {
        let path = |file: &str| format!("{CPUS}/{cpu}/cpufreq/{file}");
        let offered = read(root, &path("scaling_available_governors")).unwrap_or_default();
        let governor = read(root, &path("scaling_governor"));
        let is_offered = offered.split_whitespace().any(|name| name == "performance");
        if let Some(governor) = governor.filter(|name| is_offered && name != "performance") {
            changes.push(change(&path("scaling_governor"), &governor, "performance"));
        }
    }
    changes
}

fn read(root: &Path, path: &str) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    Some(text.trim().to_owned())
}

fn change(path: &str, from: &str, to: &str) -> Setting {
    Setting {
        path: path.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

/// Writes a setting. A file that doesn't exist is not made.
pub fn write(root: &Path, path: &str, value: &str) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).truncate(true).open(root.join(path))?;
    file.write_all(value.as_bytes())
}

/// Restores the settings `changed`, the last change first. Returns the settings that could not be
/// restored, each with its value from before and the kernel's reason.
pub fn restore(root: &Path, changed: &[Setting]) -> Vec<String> {
    let unrestored = changed.iter().rev().filter_map(|setting| {
        let error = write(root, &setting.path, &setting.from).err()?;
        Some(format!("/{} was {} ({error})", setting.path, setting.from))
    });
    unrestored.collect()
}

/// The directory names of all processors, in numerical order.
fn cpus(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(CPUS))
        .into_iter()
        .flatten()
        .flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let number = |name: &String| name.strip_prefix("cpu")?.parse::<u32>().ok();
    let mut cpus: Vec<String> = names.filter(|name| number(name).is_some()).collect();
    cpus.sort_by_key(number);
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        }
        root
    }

    #[test]
    fn noisy_settings_are_changed_and_restored() {
        let governor = "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor";
        let boost = "sys/devices/system/cpu/cpufreq/boost";
        let root = root(&[
            (governor, "powersave"),
            (
                "sys/devices/system/cpu/cpu1/cpufreq/scaling_available_governors",
                "performance powersave",
            ),
            (boost, "1"),
            (HUGE_PAGES, "[always] madvise never"),
            (KSM, "1"),
            ("sys/devices/system/cpu/cpufreq/policy0/x", ""),
        ]);
        let wanted = wanted_changes(root.path());
        let paths: Vec<_> = wanted.iter().map(|setting| setting.path.as_str()).collect();
        assert_eq!(paths, [governor, boost, HUGE_PAGES, KSM]);
        for setting in &wanted {
            write(root.path(), &setting.path, &setting.to).unwrap();
        }
        assert_eq!(wanted_changes(root.path()), []);
        let read = |path| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!([read(governor), read(boost)], ["performance", "0"]);
        fs::remove_file(root.path().join(boost)).unwrap();
        let unrestored = restore(root.path(), &wanted);
        assert_eq!([read(governor), read(KSM)], ["powersave", "1"]);
        assert_eq!(unrestored.len(), 1);
        assert!(unrestored[0].starts_with("/sys/devices/system/cpu/cpufreq/boost was 1"));
    }

    #[test]
    fn quiet_and_missing_settings_are_left_alone() {
        let root = root(&[
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
                "userspace",
            ),
            (
                "sys/devices/system/cpu/cpu0/cpufreq/scaling_available_governors",
                "userspace",
            ),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "1"),
            (HUGE_PAGES, "always [madvise] never"),
            (KSM, "0"),
        ]);
        assert_eq!(wanted_changes(root.path()), []);
    }

    #[test]
    fn a_setting_that_does_not_exist_can_t_be_written() {
        let root = root(&[]);
        assert!(write(root.path(), "sys/none", "1").is_err());
    }
}
