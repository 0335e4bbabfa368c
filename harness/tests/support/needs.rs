//! Whether this host has what the targets need.

use std::sync::OnceLock;

use isobench_testing::{Need, skip};
use serde_json::Value;

use super::place::Place;

/// Whether `target` can run here. If it can't, the reason to skip is printed.
pub fn can_run(target: &'static str) -> bool {
    let targets = diagnosis()["targets"].as_array().unwrap();
    let found = targets.iter().find(|known| known["name"] == target);
    let found = found.unwrap_or_else(|| panic!("there is no target {target}"));
    let is_available = found["available"] == true;
    if !is_available {
        let reason = found["reason"].as_str().unwrap();
        skip(missing(target, reason), format_args!("{target}: {reason}"));
    }
    is_available
}

/// The findings of `isobench doctor`. All tests share one, since it asks every peer for its
/// version.
fn diagnosis() -> &'static Value {
    static DIAGNOSIS: OnceLock<Value> = OnceLock::new();
    DIAGNOSIS.get_or_init(|| {
        let finished = Place::new().isobench(&["doctor", "--json"]).ends();
        serde_json::from_str(&finished.stdout).unwrap()
    })
}

/// The need of `target` that this host doesn't meet, by the doctor's reason.
fn missing(target: &'static str, reason: &str) -> Need {
    let mut findings = diagnosis()["findings"].as_array().unwrap().iter();
    let finding = findings.find(|finding| finding["reason"] == reason);
    match finding.and_then(|finding| finding["lacks"].as_str()) {
        Some("kvm") => Need::Kvm,
        Some("guest-kernel") => Need::HardwareKvm,
        Some("user-namespaces") => Need::UserNamespaces,
        Some("memory-cgroup") => Need::Cgroup,
        Some(other) => panic!("no test knows what {other} is"),
        None if reason.contains("isn't running") => Need::Daemon(target),
        None if reason.contains("this PID namespace") => Need::KernelThreads,
        None => missing_from_target(target),
    }
}

/// The need of `target` that isn't met although the host has all facilities: a kernel, a program,
/// or root. Most peers have the names of their programs.
fn missing_from_target(target: &'static str) -> Need {
    let program = match target {
        "microvm-linux" => return Need::GuestKernel,
        "uml" => return Need::UmlKernel,
        "lxc" => "lxc-execute",
        peer => peer,
    };
    match Need::Program(program).is_met() {
        Some(true) => Need::Root,
        _ => Need::Program(program),
    }
}
