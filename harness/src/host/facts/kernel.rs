//! The kernel, its memory management and its clock.

use bytesize::ByteSize;
use procfs::{Current as _, Meminfo};

use super::{Finding, chosen_option, read_setting};

pub(super) fn findings() -> Vec<Finding> {
    let memory = Meminfo::current().ok();
    vec![
        kernel(),
        Finding::fine(
            "memory",
            "Memory",
            memory.as_ref().map_or("unknown".to_owned(), |m| {
                ByteSize::b(m.mem_total).display().iec().to_string()
            }),
        ),
        swap(memory.as_ref().map_or(0, |m| m.swap_total - m.swap_free)),
        huge_pages(),
        ksm(),
        clock_source(),
    ]
}

fn kernel() -> Finding {
    let value = nix::sys::utsname::uname().map_or("unknown".to_owned(), |name| {
        format!(
            "{} {}",
            name.sysname().to_string_lossy(),
            name.release().to_string_lossy()
        )
    });
    Finding::fine("kernel", "Kernel", value)
}

fn swap(used: u64) -> Finding {
    let finding = Finding::fine(
        "swap",
        "Swap in use",
        ByteSize::b(used).display().iec().to_string(),
    );
    if used > 0 {
        finding.concern(
            "pages of the measured programs may be on disk",
            "swapoff -a",
        )
    } else {
        finding
    }
}

fn huge_pages() -> Finding {
    let setting = read_setting("/sys/kernel/mm/transparent_hugepage/enabled");
    let value = setting.as_deref().map_or("not built in", chosen_option);
    let finding = Finding::fine("thp", "Transparent huge pages", value);
    if value == "always" {
        finding.concern(
            "memory is charged in steps of 2 MiB, which is more than the programs touch",
            "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        )
    } else {
        finding
    }
}

fn ksm() -> Finding {
    match read_setting("/sys/kernel/mm/ksm/run").as_deref() {
        Some("1") => Finding::fine("ksm", "Kernel same-page merging", "on").concern(
            "the kernel merges equal pages of different instances while memory is measured",
            "echo 0 > /sys/kernel/mm/ksm/run",
        ),
        Some(_) => Finding::fine("ksm", "Kernel same-page merging", "off"),
        None => Finding::fine("ksm", "Kernel same-page merging", "not built in"),
    }
}

fn clock_source() -> Finding {
    let source = read_setting("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let value = source.unwrap_or_else(|| "unknown".to_owned());
    let fast = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page"].contains(&value.as_str());
    let finding = Finding::fine("clock-source", "Clock source", value);
    if fast {
        finding
    } else {
        finding.concern(
            "reading the clock takes a system call or a slow device access, and each timing \
             includes that",
            "boot with clocksource=tsc if the processor's counter is steady",
        )
    }
}
