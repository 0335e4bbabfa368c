//! The lines that tests print and the script that reads them fit together.

use std::fs;
use std::process::Command;

use isobench_testing::{Need, Skip};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/check-skips");

/// What the script says to a log with `lines`.
fn checked(lines: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    fs::write(&log, lines).unwrap();
    let output = Command::new(SCRIPT).arg(&log).output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn the_script_knows_every_tag() {
    for need in [
        Need::BlockDevice,
        Need::Cgroup,
        Need::CgroupV2,
        Need::CompressedGuestKernel,
        Need::ConstantCounter,
        Need::DirectIo,
        Need::DynamicShell,
        Need::FileCapabilities,
        Need::Font,
        Need::GuestKernel,
        Need::HardwareKvm,
        Need::HugePages,
        Need::IoUring,
        Need::KernelThreads,
        Need::Kvm,
        Need::MessageQueues,
        Need::Overlayfs,
        Need::Program("cc"),
        Need::Root,
        Need::SystemCallsOf32Bits,
        Need::TmpfsAttributes,
        Need::TunDevice,
        Need::UserNamespaces,
    ] {
        let said = checked(&format!("{}\n", Skip::new(need, "a test of the script")));
        assert!(said.contains("skipped tests: 1,"), "{said}");
        assert!(!said.contains("no tag that this script knows"), "{said}");
    }
}

#[test]
fn the_script_and_the_tests_agree_on_this_host() {
    for need in [
        Need::GuestKernel,
        Need::HugePages,
        Need::KernelThreads,
        Need::Kvm,
        Need::MessageQueues,
        Need::Overlayfs,
        Need::Program("sh"),
        Need::Program("no-such-program"),
        Need::Root,
        Need::TmpfsAttributes,
    ] {
        let said = checked(&format!("{}\n", Skip::new(need, "a test of the script")));
        let without_need = usize::from(need.is_met().unwrap());
        assert!(
            said.contains(&format!("without need: {without_need}\n")),
            "{said}"
        );
    }
}
