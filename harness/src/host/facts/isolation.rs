//! The means of isolation that this host offers: KVM, namespaces, overlayfs, cgroups. Each is tried
//! out.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use isobench_container::cgroup::{Controller, Hierarchies, Hierarchy, Version};

use super::{Finding, Need, read_setting};
use crate::host::programs::Programs;

const KVM: &str = "/dev/kvm";

/// The fix for a host without hardware KVM.
const HARDWARE: &str = "use a host with VT-x or AMD-V for figures of hardware virtualization; \
    the targets uml and qemu-pc-tcg boot a guest kernel without it";

/// The fix for a user who may make no cgroups.
const DELEGATION: &str = "run as root, or in a session with a delegated cgroup: \
    systemd-run --user --scope -p Delegate=yes";

/// The fix for a program of isobench that is missing or old.
const BUILD: &str = "build all programs with `cargo build --release --bins`";

/// The fix for a KVM that fails.
const KERNEL_LOG: &str = "see the kernel's log (dmesg) for KVM's reason";

pub(super) fn findings(programs: &Programs) -> Vec<Finding> {
    let mut findings = vec![privileges()];
    findings.extend(kvm(programs));
    findings.extend([nested(), user_namespaces(programs), overlayfs(), cgroups()]);
    findings
}

fn privileges() -> Finding {
    let user = nix::unistd::Uid::effective();
    let value = if user.is_root() {
        "root".to_owned()
    } else {
        format!("user {user}")
    };
    Finding::fine("user", "Running as", value)
}

/// The finding about KVM, before its severity is known.
fn kvm_finding(value: &str) -> Finding {
    Finding::fine("kvm", "KVM", value)
}

fn kvm(programs: &Programs) -> Vec<Finding> {
    let missing = match OpenOptions::new().read(true).write(true).open(KVM) {
        Ok(_) => return probed_kvm(programs),
        Err(e) if e.kind() == ErrorKind::NotFound => kvm_finding("absent").missing(
            Need::Kvm,
            format!("there is no {KVM}"),
            "load the module kvm_intel or kvm_amd, and enable virtualization in the firmware \
             or, in a VM, nesting",
        ),
        Err(e) if e.kind() == ErrorKind::PermissionDenied => kvm_finding("not permitted").missing(
            Need::Kvm,
            format!("this user may not open {KVM}"),
            format!(
                "add the user to the group that owns {KVM} (usermod -aG kvm USER) and log in \
                 again, or run as root"
            ),
        ),
        Err(e) => kvm_finding("unusable").missing(
            Need::Kvm,
            format!("{KVM} can't be opened: {e}"),
            KERNEL_LOG,
        ),
    };
    vec![missing]
}

/// Starts a probe VM, because the names of the kernel's modules don't tell what KVM can do.
fn probed_kvm(programs: &Programs) -> Vec<Finding> {
    let output = match Command::new(&programs.vmm)
        .arg("probe")
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) => output,
        Err(e) => {
            return vec![kvm_finding("not probed").missing(
                Need::Kvm,
                format!("{} can't be run: {e}", programs.vmm.display()),
                BUILD,
            )];
        }
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        return vec![kvm_finding("a VM can't be made").missing(
            Need::Kvm,
            stderr.trim().to_owned(),
            KERNEL_LOG,
        )];
    }
    match serde_json::from_slice::<serde_json::Value>(&output.stdout) {
        Ok(probe) => vec![kind_of_kvm(&probe), guest_kernel(&probe)],
        Err(e) => vec![kvm_finding("not probed").missing(
            Need::Kvm,
            format!("the probe's answer can't be read: {e}"),
            BUILD,
        )],
    }
}

fn kind_of_kvm(probe: &serde_json::Value) -> Finding {
    if probe["kind"] == "hardware" {
        return kvm_finding("hardware KVM");
    }
    kvm_finding("software KVM").concern(
        format!(
            "no hardware virtualization: the guest's ring 0 is interpreted at {:.1} million \
             instructions a second, and a VM exit costs more than on hardware",
            probe["ring0_mips"].as_f64().unwrap_or(f64::NAN)
        ),
        HARDWARE,
    )
}

fn guest_kernel(probe: &serde_json::Value) -> Finding {
    let finding = |value: &str| Finding::fine("guest-kernel", "Guest kernel", value);
    match probe["guest_kernel_obstacle"].as_str() {
        None => finding("can run"),
        Some(obstacle) => finding("cannot run").missing(Need::GuestKernel, obstacle, HARDWARE),
    }
}

fn nested() -> Finding {
    let setting = ["kvm_intel", "kvm_amd"]
        .iter()
        .find_map(|module| read_setting(&format!("/sys/module/{module}/parameters/nested")));
    let value = match setting.as_deref() {
        Some("Y" | "1") => "on",
        Some(_) => "off",
        None => "no hardware KVM module",
    };
    Finding::fine("nested", "Nested virtualization", value)
}

fn user_namespaces(programs: &Programs) -> Finding {
    let finding = |value: &str| Finding::fine("user-namespaces", "User namespaces", value);
    let tried = Command::new(&programs.floor)
        .args(["namespaces", "--"])
        .arg(&programs.workload)
        .arg("ready")
        .stdin(Stdio::null())
        .output();
    match tried {
        Ok(output) if output.status.success() => finding("usable"),
        Ok(output) => finding("refused").missing(
            Need::UserNamespaces,
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            "allow user namespaces: sysctl user.max_user_namespaces=10000, \
             kernel.unprivileged_userns_clone=1 (Debian) and \
             kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu), or run as root",
        ),
        Err(e) => finding("not tried").missing(
            Need::UserNamespaces,
            format!("{} can't be run: {e}", programs.floor.display()),
            BUILD,
        ),
    }
}

fn overlayfs() -> Finding {
    let is_listed = read_setting("/proc/filesystems")
        .is_some_and(|all| all.lines().any(|line| line.ends_with("\toverlay")));
    let finding = |value: &str| Finding::fine("overlayfs", "overlayfs", value);
    if is_listed || Path::new("/sys/module/overlay").exists() {
        finding("available")
    } else {
        finding("not loaded").concern(
            "the container's root file system is made of bind mounts of its layers' entries \
             instead",
            "modprobe overlay",
        )
    }
}

fn cgroups() -> Finding {
    let finding = |value: &str| Finding::fine("cgroups", "cgroups", value);
    let detected = match Hierarchies::detect() {
        Ok(detected) => detected,
        Err(error) => return unusable_cgroups(&error.to_string()),
    };
    let memory = match detected.of(Controller::Memory) {
        Ok(memory) => memory,
        Err(unusable) => return unusable_cgroups(&unusable.to_string()),
    };
    match detected.of(Controller::Pids) {
        Ok(_) => finding(&format!("{}: memory and pids are usable", version(memory))),
        Err(unusable) => {
            let value = format!("{}: memory is usable, pids is not", version(memory));
            finding(&value).concern(unusable.to_string(), DELEGATION)
        }
    }
}

fn unusable_cgroups(reason: &str) -> Finding {
    Finding::fine("cgroups", "cgroups", "not usable").missing(
        Need::MemoryCgroup,
        reason,
        DELEGATION,
    )
}

fn version(hierarchy: &Hierarchy) -> &'static str {
    match hierarchy.version {
        Version::V1 => "version 1",
        Version::V2 => "version 2",
    }
}
