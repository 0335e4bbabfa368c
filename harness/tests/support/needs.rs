//! What the targets need of this host.

use std::sync::OnceLock;

use isobench_testing::{Need, skip};
use serde_json::Value;

use super::place::Place;

/// Whether `target` can run here. If it can't, the reason is printed, and the test has to do without.
pub fn can_run(target: &str) -> bool {
    // One look at the host serves all tests: isobench asks every peer for its version.
    static DIAGNOSIS: OnceLock<Value> = OnceLock::new();
    let diagnosis = DIAGNOSIS.get_or_init(|| {
        let output = Place::new().isobench(&["doctor", "--json"]).ends();
        serde_json::from_str(&output.stdout).unwrap()
    });
    let targets = diagnosis["targets"].as_array().unwrap();
    let found = targets.iter().find(|known| known["name"] == target);
    let found = found.unwrap_or_else(|| panic!("there is no target {target}"));
    let is_available = found["available"] == true;
    if !is_available {
        skip(
            missing(target),
            format_args!("{target}: {}", found["reason"]),
        );
    }
    is_available
}

/// The need of an unavailable target that the host doesn't meet: the first that can be seen to be
/// missing, else the last, which only a trial shows.
fn missing(target: &str) -> Need {
    let needs = needs_of(target);
    let unmet = |need: &&Need| need.is_met() == Some(false);
    *needs.iter().find(unmet).or(needs.last()).unwrap()
}

fn needs_of(target: &str) -> Vec<Need> {
    let runtime = |program| vec![Need::Program(program), Need::Root, Need::Cgroup];
    match target {
        "container" => vec![Need::UserNamespaces],
        "microvm-bare" | "floor-kvm" => vec![Need::Kvm],
        "microvm-linux" => vec![Need::Kvm, Need::GuestKernel, Need::HardwareKvm],
        "bwrap" => vec![Need::Program("bwrap"), Need::UserNamespaces],
        "crun" => runtime("crun"),
        "lxc" => runtime("lxc-execute"),
        "podman" => runtime("podman"),
        "runc" => runtime("runc"),
        other => panic!("what {other} needs is not known here"),
    }
}
