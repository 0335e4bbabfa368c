//! `inspect`: says what a program in a target can see, one fact a line, and blocks until standard
//! input closes.
//!
//! This workload is not measured and does not speak the line protocol: a line is a name, a tab and
//! a value. Only the harness, which knows the host, can say what the values mean. `end` is the last
//! line. While the program then waits, the harness can look at it from outside.

use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;

/// The kinds of namespaces, by their names in /proc.
pub const NAMESPACES: [&str; 7] = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"];

/// The fields of /proc/self/status that are told.
const STATUS: [&str; 7] = [
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
];

/// Files and directories that the OCI runtimes' default configuration covers, because they tell of
/// the host.
pub const TELLING: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// The last line.
pub const END: &str = "end";

/// Says all facts, and waits for the end of `input`.
///
/// # Errors
/// `output` cannot be written to, or `input` cannot be read.
pub fn run(output: &mut dyn Write, input: &mut dyn Read) -> io::Result<()> {
    let facts = facts().into_iter();
    let lines = facts.map(|(name, value)| format!("{name}\t{value}\n"));
    let text = lines.collect::<String>() + END + "\n";
    output.write_all(text.as_bytes())?;
    output.flush()?;
    io::copy(input, &mut io::sink()).map(drop)
}

/// The names and values of all facts, as this process sees them.
pub fn facts() -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut add = |name: &str, value: String| facts.push((name.to_owned(), value));
    for kind in NAMESPACES {
        let identity = fs::read_link(format!("/proc/self/ns/{kind}"));
        if let Ok(identity) = identity {
            add(&format!("namespace.{kind}"), identity.display().to_string());
        }
    }
    let status = read("/proc/self/status");
    for field in STATUS {
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        if let Some(value) = value {
            add(field, value.trim().to_owned());
        }
    }
    for (name, path) in [
        ("uid_map", "/proc/self/uid_map"),
        ("gid_map", "/proc/self/gid_map"),
        ("cgroup", "/proc/self/cgroup"),
        ("hostname", "/proc/sys/kernel/hostname"),
    ] {
        for line in read(path).lines() {
            let words: Vec<_> = line.split_whitespace().collect();
            add(name, words.join(" "));
        }
    }
    for mount in read("/proc/self/mountinfo").lines().filter_map(mount) {
        add("mount", mount);
    }
    for path in TELLING.into_iter().filter(|path| tells(Path::new(path))) {
        add("tells", path.to_owned());
    }
    for path in ["/proc", "/sys"] {
        if Path::new(path).exists() {
            add("exists", path.to_owned());
        }
    }
    for name in numbers("/proc") {
        add("process", name);
    }
    for number in descriptors() {
        add("descriptor", number);
    }
    facts
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The mount point, the type and the first option of a line of mountinfo. The option says whether
/// the mount is read-only (`proc_pid_mountinfo(5)`).
fn mount(line: &str) -> Option<String> {
    let (front, back) = line.split_once(" - ")?;
    let front: Vec<_> = front.split(' ').collect();
    let option = front.get(5)?.split(',').next()?;
    Some(format!(
        "{} {} {option}",
        front.get(4)?,
        back.split(' ').next()?
    ))
}

/// Whether the directory `path` has entries, or the file `path` has content that can be read.
fn tells(path: &Path) -> bool {
    if let Ok(mut entries) = fs::read_dir(path) {
        return entries.next().is_some();
    }
    let read = fs::File::open(path).and_then(|mut file| file.read(&mut [0]));
    read.is_ok_and(|length| length > 0)
}

/// The entries of `directory` that are numbers, ascending.
fn numbers(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut numbers: Vec<u64> = names.filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.iter().map(u64::to_string).collect()
}

/// The open descriptors. The descriptor by which the directory is listed is closed by then, and its
/// link is gone.
fn descriptors() -> Vec<String> {
    let mut listed = numbers("/proc/self/fd");
    listed.retain(|number| fs::read_link(format!("/proc/self/fd/{number}")).is_ok());
    listed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_said_in_lines_before_the_end() {
        let mut output = Vec::new();
        run(&mut output, &mut io::empty()).unwrap();
        let text = String::from_utf8(output).unwrap();
        let lines: Vec<_> = text.lines().collect();
        let (last, facts) = lines.split_last().unwrap();
        assert_eq!(*last, END);
        assert!(facts.iter().all(|line| line.split_once('\t').is_some()));
        for name in ["namespace.user", "CapEff", "uid_map", "mount", "descriptor"] {
            assert!(facts.iter().any(|line| line.starts_with(name)), "{name}");
        }
    }

    #[test]
    fn a_mount_is_told_by_its_point_its_type_and_its_first_option() {
        let line = "36 35 98:0 /mnt1 /mnt2 ro,noatime master:1 - ext3 /dev/root rw,errors=continue";
        assert_eq!(mount(line).unwrap(), "/mnt2 ext3 ro");
        assert_eq!(mount("36 35 98:0"), None);
    }
}
