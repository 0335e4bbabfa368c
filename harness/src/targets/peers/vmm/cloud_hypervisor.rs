//! Cloud Hypervisor, started with its documented command line (docs/README, `--help`).
//!
//! Output leaves a guest by the serial port. A guest ends by the power-management port, because a
//! reset would start the guest again.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use isobench_reports::model::TargetFamily;
use isobench_vmm::linux::layout::SERIAL;
use isobench_workloads::guest_init::{Orders, PowerOff, Wire};

use super::{
    COMMAND_LINE, Guest, NO_EXIT_CODE, PREPARED_ARCHIVE, SERIAL_OUTPUT, UNTESTED, Vmm, VmmAdapter,
    WITHOUT_EXIT_CODE, vmm_info,
};
use crate::instance::command_line::CommandLine;
use crate::targets::peers::program::{Program, Source};
use crate::targets::{DiskAccess, Launch, TargetInfo};

/// Sleep state 5 and "sleep enable", with the values of Cloud Hypervisor's ACPI tables
/// (devices/src/acpi.rs).
const POWER_OFF: PowerOff = PowerOff {
    port: 0x600,
    value: 5 << 2 | 1 << 5,
};

/// The target `cloud-hypervisor`. `init` is the path of the workload.
pub fn target(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: &[
            UNTESTED,
            SERIAL_OUTPUT,
            PREPARED_ARCHIVE,
            NO_EXIT_CODE,
            "the disk is on PCI",
        ],
        capabilities: WITHOUT_EXIT_CODE,
        ..vmm_info(
            TargetFamily::MicroVm,
            "cloud-hypervisor",
            "Cloud Hypervisor with the kernel and the files of microvm-linux; untested on the \
             real program, only against its documentation.",
        )
    };
    let program = Program {
        name: "cloud-hypervisor",
        source: Source::Elsewhere(
            "Debian has no package of Cloud Hypervisor: put `cloud-hypervisor` of a release of \
             its project on the PATH",
        ),
    };
    Vmm::new(info, program, &CloudHypervisor, init)
}

/// The adapter for Cloud Hypervisor. The VMM's API isn't used.
#[derive(Debug)]
pub(super) struct CloudHypervisor;

impl VmmAdapter for CloudHypervisor {
    fn orders(&self) -> Orders {
        Orders {
            ports: SERIAL.start,
            wire: Wire::Serial,
            power_off: Some(POWER_OFF),
            ..Orders::default()
        }
    }

    fn command(&self, vmm: &Path, launch: &Launch, guest: &Guest) -> io::Result<CommandLine> {
        let command = CommandLine::new(vmm)
            .args(["--kernel".as_ref(), guest.kernel.image.as_os_str()])
            .args(["--initramfs".as_ref(), guest.initramfs.as_os_str()])
            .args(["--cmdline", COMMAND_LINE, "--cpus", "boot=1", "--memory"])
            .args([format!("size={}", guest.memory.as_u64())])
            .args(["--serial", "tty", "--console", "off"]);
        Ok(match launch.disk {
            Some(disk) => command.args(["--disk".into(), disk_option(disk, launch.access)]),
            None => command,
        })
    }
}

fn disk_option(disk: &Path, access: DiskAccess) -> OsString {
    let mut option = OsString::from("path=");
    option.push(disk);
    if access == DiskAccess::Direct {
        option.push(",direct=on");
    }
    option
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_may_bypass_the_page_cache() {
        let option = disk_option(Path::new("/a b"), DiskAccess::Direct);
        assert_eq!(option, "path=/a b,direct=on");
    }
}
