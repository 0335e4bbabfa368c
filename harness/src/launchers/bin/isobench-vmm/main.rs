//! The launcher of guests: one process, one microVM or user-mode Linux, one program.
#![expect(unsafe_code, reason = "claims the inherited descriptors")]

mod bare;
mod linux;
mod linux_files;
mod request;
mod snapshot;
mod template;
mod uml;

use std::process::ExitCode;

use isobench::instance::marks::MarkWriter;
use isobench::launchers::{Failure, InheritedDescriptors, exit_code};
use isobench::streams::say;
use isobench_vmm::kvm::Hypervisor;
use isobench_vmm::kvm::exits::ExitCounts;
use isobench_vmm::probe::{self, ProbeError};

use request::{Guest, Request, USAGE};

fn main() -> ExitCode {
    // SAFETY: this is the first statement of the program, so nothing has been opened yet.
    let inherited = unsafe { InheritedDescriptors::claim() };
    let result = match std::env::args_os()
        .nth(1)
        .as_deref()
        .and_then(|word| word.to_str())
    {
        Some("run") => run(inherited),
        Some("probe") => print_probe(),
        Some("--help" | "-h") => say(USAGE)
            .map(|()| 0)
            .map_err(|error| Failure::new(1, error)),
        _ => Err(Failure::bad_usage(
            "the first argument is neither `run` nor `probe`",
            USAGE,
        )),
    };
    exit_code("isobench-vmm", result)
}

fn run(inherited: InheritedDescriptors) -> Result<u8, Failure> {
    let request = Request::parse(inherited).map_err(|error| Failure::bad_usage(error, USAGE))?;
    match request.guest {
        Guest::Bare => bare::run(&request),
        Guest::Linux => linux::run(request),
        Guest::Uml => uml::run(request),
    }
}

/// Writes the number of VM exits for each reason to the marks pipe.
fn write_exit_counts(marks: &MarkWriter, exits: &ExitCounts) {
    for (reason, count) in exits.each() {
        marks.count(reason.name(), count);
    }
}

/// Probes this host's KVM, and prints its properties as JSON.
fn print_probe() -> Result<u8, Failure> {
    let hypervisor =
        Hypervisor::open().map_err(|error| Failure::new(1, ProbeError::from(error)))?;
    let found = probe::probe(&hypervisor).map_err(|error| Failure::new(1, error))?;
    let obstacle = found.guest_kernel_obstacle();
    say(format_args!(
        r#"{{"kind":"{}","ring0_mips":{:.2},"syscall_changes_ring":{},"guest_kernel_obstacle":{}}}"#,
        found.kind,
        found.ring0_mips,
        found.syscall_changes_ring,
        obstacle.map_or_else(|| "null".to_owned(), |text| format!("{text:?}")),
    ))
    .map_err(|error| Failure::new(1, error))?;
    Ok(0)
}
