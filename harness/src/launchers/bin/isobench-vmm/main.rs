//! The launcher of the microVMs: one process, one VM, one program.

mod bare;
mod linux;
mod request;

use std::process::ExitCode;

use isobench::instance::marks::MarkWriter;
use isobench::launchers::{self, Failure};
use isobench_vmm::kvm::Hypervisor;
use isobench_vmm::kvm::exits::ExitCounts;
use isobench_vmm::probe::{self, ProbeError};

use request::{Guest, Request, USAGE};

fn main() -> ExitCode {
    let result = match std::env::args_os()
        .nth(1)
        .as_deref()
        .and_then(|word| word.to_str())
    {
        Some("run") => run(),
        Some("probe") => print_probe(),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(0)
        }
        _ => Err(Failure::bad_usage("neither `run` nor `probe`", USAGE)),
    };
    launchers::end("isobench-vmm", result)
}

fn run() -> Result<u8, Failure> {
    let request = Request::parse().map_err(|error| Failure::bad_usage(error, USAGE))?;
    match request.guest {
        Guest::Bare => bare::run(&request),
        Guest::Linux => linux::run(request),
    }
}

/// Tells how often the guest came out, by reason, where marks go.
fn tell_exits(marks: &MarkWriter, exits: &ExitCounts) {
    for (reason, count) in exits.each() {
        marks.count(reason.name(), count);
    }
}

/// Measures this host's KVM and prints what it is.
fn print_probe() -> Result<u8, Failure> {
    let hypervisor =
        Hypervisor::open().map_err(|error| Failure::new(1, ProbeError::from(error)))?;
    let found = probe::probe(&hypervisor).map_err(|error| Failure::new(1, error))?;
    let obstacle = found.guest_kernel_obstacle();
    println!(
        r#"{{"kind":"{}","ring0_mips":{:.2},"syscall_changes_ring":{},"guest_kernel_obstacle":{}}}"#,
        found.kind,
        found.ring0_mips,
        found.syscall_changes_ring,
        obstacle.map_or_else(|| "null".to_owned(), |text| format!("{text:?}")),
    );
    Ok(0)
}
