//! Reads and opens the files of /proc and /sys.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::say;

/// The paths that the OCI runtimes' default configuration covers (runc's `maskedPaths`).
pub const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Reports which paths of [`MASKED`] can be read and aren't empty, and which others tell of the
/// kernel's inside.
pub fn tell() {
    let telling = MASKED.iter().filter(|path| tells(Path::new(path)));
    telling.for_each(say);
    for path in [
        "/proc/kmsg",
        "/proc/vmallocinfo",
        "/proc/slabinfo",
        "/proc/1/stack",
    ] {
        if tells(Path::new(path)) {
            say(path);
        }
    }
    // To a reader without privileges, both show zeros for addresses.
    let addresses = |path: &str, position: usize| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let shown = |line: &str| line.split([' ', '-']).nth(position).map(str::to_owned);
        text.lines()
            .filter_map(|line| shown(line.trim()))
            .any(|word| word.bytes().any(|digit| digit != b'0'))
    };
    for path in ["/proc/kallsyms", "/proc/iomem"] {
        if addresses(path, 0) {
            say(path);
        }
    }
}

fn tells(path: &Path) -> bool {
    if let Ok(mut entries) = fs::read_dir(path) {
        return entries.next().is_some();
    }
    let read = fs::File::open(path).and_then(|mut file| file.read(&mut [0]));
    read.is_ok_and(|length| length > 0)
}

/// Reports every file of /proc that isn't a process's and can be opened for writing.
pub fn open_all_for_writing() {
    let mut pending = vec![PathBuf::from("/proc")];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let of_a_process = name
                .to_str()
                .is_some_and(|name| name.parse::<u32>().is_ok());
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            if kind.is_dir() && !of_a_process {
                pending.push(entry.path());
            }
            // The listing has the kind of a covered file. Its metadata are those of the mount.
            let is_file = fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            let opened = is_file
                && fs::OpenOptions::new()
                    .write(true)
                    .open(entry.path())
                    .is_ok();
            if opened {
                say(entry.path().display());
            }
        }
    }
}
