//! The files below `/proc` and `/sys` that tell of the whole guest.

use std::time::Duration;

use nix::time::ClockId;
use raw_cpuid::CpuId;

use super::super::Personality;
use super::super::identity::{PROCESS_ID, RELEASE, VERSION};
use super::super::proc_files::SystemFile;
use super::{processor_time, ticks, time_of, uptime};
use crate::bare::address_space::AddressSpace;

impl Personality {
    pub(super) fn system_text(&self, file: SystemFile, memory: &AddressSpace) -> String {
        match file {
            // The page tables have pages of 4 KiB alone.
            SystemFile::HugePages => "always madvise [never]\n".to_owned(),
            SystemFile::Load => format!("0.00 0.00 0.00 1/1 {PROCESS_ID}\n"),
            SystemFile::Memory => self.memory_text(memory),
            SystemFile::Processor => {
                let all = self.processors();
                (0..all).map(|number| processor(number, all)).collect()
            }
            SystemFile::ProcessorNumbers => match self.processors() {
                1 => "0\n".to_owned(),
                all => format!("0-{}\n", all - 1),
            },
            // A mapping may be larger than memory, but not if no machine could serve it.
            SystemFile::Overcommit => "0\n".to_owned(),
            SystemFile::Release => format!("{RELEASE}\n"),
            SystemFile::Statistics => statistics(self.processors()),
            SystemFile::Uptime => uptime_text(self.processors()),
            SystemFile::Version => format!("Linux version {RELEASE} {VERSION}\n"),
        }
    }

    /// `/proc/meminfo`. The guest has no page cache and no swap. Programs expect all of these lines.
    fn memory_text(&self, memory: &AddressSpace) -> String {
        let (total, free) = (self.memory.as_u64(), memory.free_bytes());
        let used = total.saturating_sub(free);
        let known = [
            ("MemTotal", total),
            ("MemFree", free),
            ("MemAvailable", free),
            ("Active", used),
            ("AnonPages", used),
            ("CommitLimit", total),
            ("Committed_AS", used),
        ];
        let nothing = [
            "Buffers",
            "Cached",
            "SwapCached",
            "Inactive",
            "SwapTotal",
            "SwapFree",
            "Dirty",
            "Writeback",
            "Mapped",
            "Shmem",
            "Slab",
            "SReclaimable",
            "SUnreclaim",
            "VmallocTotal",
            "VmallocUsed",
            "VmallocChunk",
        ];
        known
            .into_iter()
            .chain(nothing.map(|field| (field, 0)))
            .map(|(field, bytes)| format!("{:15} {:8} kB\n", format!("{field}:"), bytes / 1024))
            .collect::<Vec<_>>()
            .concat()
    }
}

/// One of `all` processors in `/proc/cpuinfo`, without its flags: programs ask `CPUID` for them.
fn processor(place: usize, all: usize) -> String {
    let cpuid = CpuId::new();
    let vendor = cpuid.get_vendor_info();
    let brand = cpuid.get_processor_brand_string();
    let version = cpuid.get_feature_info();
    let number = |number: Option<u8>| number.unwrap_or_default().to_string();
    let unknown = "unknown".to_owned();
    let lines = [
        ("processor\t", place.to_string()),
        (
            "vendor_id\t",
            vendor.map_or(unknown.clone(), |vendor| vendor.as_str().to_owned()),
        ),
        (
            "cpu family\t",
            number(version.as_ref().map(raw_cpuid::FeatureInfo::family_id)),
        ),
        (
            "model\t\t",
            number(version.as_ref().map(raw_cpuid::FeatureInfo::model_id)),
        ),
        (
            "model name\t",
            brand.map_or(unknown, |brand| brand.as_str().trim().to_owned()),
        ),
        (
            "stepping\t",
            number(version.as_ref().map(raw_cpuid::FeatureInfo::stepping_id)),
        ),
        ("physical id\t", "0".to_owned()),
        ("siblings\t", all.to_string()),
        ("core id\t\t", place.to_string()),
        ("cpu cores\t", all.to_string()),
    ];
    lines
        .map(|(field, value)| format!("{field}: {value}\n"))
        .concat()
        + "\n"
}

/// `/proc/stat`. The processors work for the program or are idle, and nobody counts which one works.
fn statistics(processors: usize) -> String {
    let (used, up) = (processor_time(), uptime());
    let start = time_of(ClockId::CLOCK_REALTIME).saturating_sub(up);
    let times = |count: u32, used: Duration| {
        let idle = (up * count).saturating_sub(used);
        format!("{} 0 0 {} 0 0 0 0 0 0\n", ticks(used), ticks(idle))
    };
    let all = u32::try_from(processors).unwrap_or(1);
    let each: Vec<_> = (0..processors)
        .map(|number| format!("cpu{number} {}", times(1, used / all)))
        .collect();
    format!(
        "cpu  {}{}intr 0\nctxt 0\nbtime {}\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n",
        times(all, used),
        each.concat(),
        start.as_secs()
    )
}

/// `/proc/uptime`: the time since the start, and the time for which the processors were idle.
fn uptime_text(processors: usize) -> String {
    let up = uptime();
    let seconds = |time: Duration| format!("{}.{:02}", time.as_secs(), time.subsec_millis() / 10);
    let all = u32::try_from(processors).unwrap_or(1);
    let idle = (up * all).saturating_sub(processor_time());
    format!("{} {}\n", seconds(up), seconds(idle))
}
