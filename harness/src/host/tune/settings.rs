//! Which settings are worth changing, how they are written, and how they are put back.
//!
//! SMT is not among them: switching it off takes processors away from everything else that runs, and moves what is on them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use isobench_reports::model::Setting;

use crate::host::facts::bracketed;

const CPUS: &str = "sys/devices/system/cpu";
const HUGE_PAGES: &str = "sys/kernel/mm/transparent_hugepage/enabled";
const KSM: &str = "sys/kernel/mm/ksm/run";

/// The changes that would make timings below `root` steadier; none of what is as it should be, or isn't there.
pub fn wanted(root: &Path) -> Vec<Setting> {
    let read = |path: &str| {
        let text = fs::read_to_string(root.join(path)).ok()?;
        Some(text.trim().to_owned())
    };
    let change = |path: &str, from: &str, to: &str| Setting {
        path: path.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let mut wanted = Vec::new();
    for cpu in cpus(root) {
        let path = |file: &str| format!("{CPUS}/{cpu}/cpufreq/{file}");
        let offered = read(&path("scaling_available_governors")).unwrap_or_default();
        let governor = read(&path("scaling_governor"));
        let steady = offered.split_whitespace().any(|name| name == "performance");
        if let Some(governor) = governor.filter(|governor| steady && governor != "performance") {
            wanted.push(change(&path("scaling_governor"), &governor, "performance"));
        }
    }
    // Intel's own driver has a switch that is on when turbo is off; others have one for boost.
    for (file, noisy, steady) in [
        ("intel_pstate/no_turbo", "0", "1"),
        ("cpufreq/boost", "1", "0"),
    ] {
        let path = format!("{CPUS}/{file}");
        if read(&path).as_deref() == Some(noisy) {
            wanted.push(change(&path, noisy, steady));
        }
    }
    if read(HUGE_PAGES).as_deref().map(bracketed) == Some("always") {
        wanted.push(change(HUGE_PAGES, "always", "madvise"));
    }
    if read(KSM).as_deref() == Some("1") {
        wanted.push(change(KSM, "1", "0"));
    }
    wanted
}

/// Writes a setting. A file that isn't there is not made.
pub fn write(root: &Path, path: &str, value: &str) -> io::Result<()> {
    let mut options = File::options();
    let mut file = options.write(true).truncate(true).open(root.join(path))?;
    file.write_all(value.as_bytes())
}

/// Puts back what was changed, the last change first; gives what could not be.
pub fn put_back(root: &Path, changed: &[Setting]) -> Vec<String> {
    let kept = changed.iter().rev().filter_map(|setting| {
        let error = write(root, &setting.path, &setting.from).err()?;
        Some(format!("/{} was {} ({error})", setting.path, setting.from))
    });
    kept.collect()
}

/// The names of all processors, in order.
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
    fn what_is_noisy_is_changed_and_put_back() {
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
        let wanted = wanted(root.path());
        let paths: Vec<_> = wanted.iter().map(|setting| setting.path.as_str()).collect();
        assert_eq!(paths, [governor, boost, HUGE_PAGES, KSM]);
        for setting in &wanted {
            write(root.path(), &setting.path, &setting.to).unwrap();
        }
        assert_eq!(super::wanted(root.path()), []);
        let read = |path| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!([read(governor), read(boost)], ["performance", "0"]);
        fs::remove_file(root.path().join(boost)).unwrap();
        let kept = put_back(root.path(), &wanted);
        assert_eq!([read(governor), read(KSM)], ["powersave", "1"]);
        assert!(
            kept.len() == 1 && kept[0].starts_with("/sys/devices/system/cpu/cpufreq/boost was 1")
        );
    }

    #[test]
    fn what_is_quiet_or_missing_is_left_alone() {
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
        assert_eq!(wanted(root.path()), []);
        assert!(write(root.path(), "sys/none", "1").is_err());
    }
}
