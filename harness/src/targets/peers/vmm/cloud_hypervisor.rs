//! Cloud Hypervisor, by its documented command line (docs/README, `--help`).
//!
//! Its guests' serial port is the way out, and its power-management port ends them: a reset would
//! start them again.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use isobench_reports::model::TargetFamily;
use isobench_vmm::linux::layout::SERIAL;
use isobench_workloads::guest_init::{Orders, PowerOff, Wire};

use super::{Boot, COMMAND_LINE, Machine, Vmm, refused, vmm_info};
use crate::instance::command_line::CommandLine;
use crate::targets::peers::program::{Program, Source};
use crate::targets::{DiskAccess, Launch, TargetInfo};

/// Sleep state 5 and "sleep enable", as its ACPI tables have them (devices/src/acpi.rs).
const POWER_OFF: PowerOff = PowerOff {
    port: 0x600,
    value: 5 << 2 | 1 << 5,
};

/// The target `cloud-hypervisor`, with the workload at `init`.
pub fn target(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: &[
            "the adapter follows the documented interface and is untested on the real program",
            "output leaves the guest a byte an exit, by the serial port, standard error with it",
            "the guest's files are in an archive that was written ahead of the start, not made in it",
            "standard input never ends, and there is no exit code: one other than 0 is a line on the output",
            "the disk is on PCI",
        ],
        ..vmm_info(
            TargetFamily::MicroVm,
            "cloud-hypervisor",
            "Cloud Hypervisor with the kernel and the files of microvm-linux; untested on the real program, only against its documentation.",
        )
    };
    let program = Program {
        name: "cloud-hypervisor",
        source: Source::Elsewhere(
            "Debian has no package of it: put `cloud-hypervisor` of a release of its project on the PATH",
        ),
    };
    Vmm::new(info, program, &CloudHypervisor, init)
}

/// Cloud Hypervisor without its API.
#[derive(Debug)]
pub(super) struct CloudHypervisor;

impl Machine for CloudHypervisor {
    fn orders(&self) -> Orders {
        Orders {
            ports: SERIAL.start,
            wire: Wire::Serial,
            power_off: Some(POWER_OFF),
            ..Orders::default()
        }
    }

    fn check(&self, launch: &Launch) -> io::Result<()> {
        let has_comma = |disk: &&Path| disk.as_os_str().as_encoded_bytes().contains(&b',');
        match launch.disk.filter(has_comma) {
            Some(disk) => Err(refused(format!(
                "Cloud Hypervisor takes no path with a comma: {}",
                disk.display()
            ))),
            None => Ok(()),
        }
    }

    fn command(&self, vmm: &Path, launch: &Launch, boot: &Boot) -> io::Result<CommandLine> {
        let command = CommandLine::new(vmm)
            .args(["--kernel".as_ref(), boot.kernel.image.as_os_str()])
            .args(["--initramfs".as_ref(), boot.initramfs.as_os_str()])
            .args(["--cmdline", COMMAND_LINE, "--cpus", "boot=1", "--memory"])
            .args([format!("size={}", boot.memory.as_u64())])
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
    fn a_path_that_would_be_two_options_is_refused() {
        let option = disk_option(Path::new("/a b"), DiskAccess::Direct);
        assert_eq!(option, "path=/a b,direct=on");
        let launch = |disk| Launch {
            disk: Some(Path::new(disk)),
            ..Launch::of(Path::new("/program"), [""; 0])
        };
        assert!(CloudHypervisor.check(&launch("/a b")).is_ok());
        let error = CloudHypervisor.check(&launch("/a,b")).unwrap_err();
        assert!(error.to_string().contains("/a,b"), "{error}");
    }
}
