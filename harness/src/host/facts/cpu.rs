//! The processor, and those of its settings that make timings noisy.

use std::time::Duration;

use isobench_reports::model::{EMULATED, EMULATION};
use procfs::{CpuInfo, Current as _, LoadAverage};
use raw_cpuid::{CpuId, Hypervisor};

use super::{Finding, read_setting};

/// The load average above which another program probably competes for the processors.
const BUSY_LOAD: f32 = 0.5;
/// The number of processors whose frequency governor is read.
const MAX_CPUS: usize = 1024;

pub(super) fn findings() -> Vec<Finding> {
    let info = CpuInfo::current().ok();
    let field =
        |name: &str| -> Option<String> { Some(info.as_ref()?.get_field(0, name)?.to_owned()) };
    let model = field("model name").unwrap_or_else(|| "unknown".to_owned());
    let count = info.as_ref().map_or(0, CpuInfo::num_cores);
    let flags = field("flags").unwrap_or_default();
    let mut findings = vec![
        Finding::fine("cpu-model", "Processor", model),
        Finding::fine("cpus", "CPUs online", format!("{count} CPUs")),
        affinity(),
        smt(),
        governor(),
        turbo(),
        idle_states(),
        load(),
        mitigations(),
        virtualized(flags.split_whitespace().any(|flag| flag == "hypervisor")),
    ];
    findings.extend(emulated());
    findings
}

/// Detects QEMU's emulator by its name in CPUID, where other hypervisors have their own name.
fn emulated() -> Option<Finding> {
    let hypervisor = CpuId::new().get_hypervisor_info()?.identify();
    (hypervisor == Hypervisor::QEMU).then(|| {
        Finding::fine(EMULATION, "Processor is emulated", EMULATED).concern(
            "a program (QEMU's TCG) emulates the processor, and slows each kind of work by another \
             factor",
            "use hardware for times; the lab is for behaviour (docs/lab.md)",
        )
    })
}

fn smt() -> Finding {
    let active = read_setting("/sys/devices/system/cpu/smt/active");
    let value = match active.as_deref() {
        Some("1") => "on",
        Some("0") => "off",
        _ => "unknown",
    };
    let finding = Finding::fine("smt", "Simultaneous multithreading", value);
    if value == "on" {
        finding.concern(
            "the work of a sibling hardware thread slows the measured program",
            "for the steadiest figures: echo off > /sys/devices/system/cpu/smt/control",
        )
    } else {
        finding
    }
}

/// The processors on which isobench and all its instances may run.
fn affinity() -> Finding {
    let status = read_setting("/proc/self/status").unwrap_or_default();
    let list = |line: &str| Some(line.strip_prefix("Cpus_allowed_list:")?.trim().to_owned());
    let allowed = status.lines().find_map(list);
    Finding::fine(
        "affinity",
        "CPUs that isobench keeps to",
        allowed.unwrap_or_else(|| "unknown".to_owned()),
    )
}

fn governor() -> Finding {
    // Each processor has a governor of its own.
    let setting = |cpu: usize| {
        let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        read_setting(&path)
    };
    let mut governors: Vec<_> = (0..MAX_CPUS).map_while(setting).collect();
    governors.sort();
    governors.dedup();
    let finding = |value: &str| Finding::fine("governor", "Frequency governor", value);
    if governors.is_empty() {
        return finding("none (the frequency is fixed, or set by the hypervisor)");
    }
    if governors == ["performance"] {
        return finding("performance");
    }
    finding(&governors.join(", ")).concern(
        "the clock rate changes with the load during the run",
        "isobench run --tune, or cpupower frequency-set -g performance",
    )
}

fn turbo() -> Finding {
    let setting = |file: &str| read_setting(&format!("/sys/devices/system/cpu/{file}"));
    let on = match (setting("intel_pstate/no_turbo"), setting("cpufreq/boost")) {
        (Some(off), _) => Some(off == "0"),
        (None, Some(on)) => Some(on == "1"),
        (None, None) => None,
    };
    let finding = |value: &str| Finding::fine("turbo", "Turbo", value);
    match on {
        None => finding("no switch (none, or set by the hypervisor)"),
        Some(false) => finding("off"),
        Some(true) => finding("on").concern(
            "the clock rate depends on heat and on the work of the other cores",
            "isobench run --tune switches turbo off for the run",
        ),
    }
}

/// The wake-up time from which on an idle state is called deep.
const DEEP: Duration = Duration::from_micros(50);

fn idle_states() -> Finding {
    let finding = |value: String| Finding::fine("idle-states", "Idle states", value);
    let states = (0..16).map_while(|number| {
        let read = |file: &str| {
            let state = "/sys/devices/system/cpu/cpu0/cpuidle/state";
            read_setting(&format!("{state}{number}/{file}"))
        };
        let latency = Duration::from_micros(read("latency")?.parse().ok()?);
        let usable = read("disable").as_deref() == Some("0");
        Some((read("name")?, latency, usable))
    });
    let usable: Vec<_> = states.filter(|(_, _, usable)| *usable).collect();
    let names: Vec<_> = usable.iter().map(|(name, _, _)| name.as_str()).collect();
    let deepest = usable.iter().map(|(_, latency, _)| *latency).max();
    match deepest {
        None => finding("none (set by the hypervisor)".to_owned()),
        Some(latency) => {
            let value = format!("{}: up to {latency:?} to wake up", names.join(", "));
            if latency < DEEP {
                return finding(value);
            }
            finding(value).concern(
                "an idle processor takes that long to wake up, and each start after a gap includes \
                 that time",
                "cpupower idle-set -D 50, or boot with intel_idle.max_cstate=1",
            )
        }
    }
}

fn load() -> Finding {
    let Ok(load) = LoadAverage::current() else {
        return Finding::fine("load", "Load average", "unknown");
    };
    let finding = Finding::fine(
        "load",
        "Load average (1 minute)",
        format!("{:.2}", load.one),
    );
    if load.one > BUSY_LOAD {
        finding.concern(
            "other programs were running just before the run",
            "stop them, or wait a minute after a build",
        )
    } else {
        finding
    }
}

fn mitigations() -> Finding {
    let mut active: Vec<_> = std::fs::read_dir("/sys/devices/system/cpu/vulnerabilities")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            std::fs::read_to_string(entry.path()).is_ok_and(|text| text.starts_with("Mitigation"))
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    active.sort();
    let value = if active.is_empty() {
        "none active".to_owned()
    } else {
        active.join(", ")
    };
    Finding::fine("mitigations", "Mitigations active", value)
}

fn virtualized(is_guest: bool) -> Finding {
    let finding = |value: &str| Finding::fine("virtualized", "Host", value);
    if is_guest {
        finding("itself a virtual machine").concern(
            "an outer hypervisor schedules this machine, and VMs inside are nested or emulated",
            "use a physical machine for absolute times; ratios still hold",
        )
    } else {
        finding("a physical machine")
    }
}
