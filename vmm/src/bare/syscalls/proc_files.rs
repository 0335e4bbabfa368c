//! The names of the files below `/proc` and `/sys` (proc(5)).

use super::identity::PROCESS_ID;

/// A file below `/proc` or `/sys`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcFile {
    /// A file of the directory `/proc/self`.
    Process(ProcessFile),
    /// A file that tells of the whole guest.
    System(SystemFile),
}

/// A file of `/proc/self`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessFile {
    Arguments,
    AuxiliaryVector,
    Environment,
    Maps,
    MemorySizes,
    Name,
    Stat,
    Status,
}

impl ProcessFile {
    /// The name of each file.
    const ALL: [(&str, Self); 8] = [
        ("auxv", Self::AuxiliaryVector),
        ("cmdline", Self::Arguments),
        ("comm", Self::Name),
        ("environ", Self::Environment),
        ("maps", Self::Maps),
        ("stat", Self::Stat),
        ("statm", Self::MemorySizes),
        ("status", Self::Status),
    ];
}

/// A file that tells of the whole guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemFile {
    HugePages,
    Load,
    Memory,
    Overcommit,
    Processor,
    ProcessorNumbers,
    Release,
    Statistics,
    Uptime,
    Version,
}

impl SystemFile {
    /// The path of each file.
    const ALL: [(&str, Self); 11] = [
        ("/proc/cpuinfo", Self::Processor),
        ("/proc/loadavg", Self::Load),
        ("/proc/meminfo", Self::Memory),
        ("/proc/stat", Self::Statistics),
        ("/proc/sys/kernel/osrelease", Self::Release),
        ("/proc/sys/vm/overcommit_memory", Self::Overcommit),
        ("/proc/uptime", Self::Uptime),
        ("/proc/version", Self::Version),
        ("/sys/devices/system/cpu/online", Self::ProcessorNumbers),
        ("/sys/devices/system/cpu/possible", Self::ProcessorNumbers),
        (
            "/sys/kernel/mm/transparent_hugepage/enabled",
            Self::HugePages,
        ),
    ];
}

/// The directory of the program's process.
pub(super) fn own_directory() -> String {
    format!("/proc/{PROCESS_ID}")
}

/// The paths of all files, with the files.
pub(super) fn all() -> impl Iterator<Item = (String, ProcFile)> {
    let own = own_directory();
    let of_process = ProcessFile::ALL
        .into_iter()
        .map(move |(name, file)| (format!("{own}/{name}"), ProcFile::Process(file)));
    let of_system = SystemFile::ALL
        .into_iter()
        .map(|(path, file)| (path.to_owned(), ProcFile::System(file)));
    of_process.chain(of_system)
}
