//! Cloud Hypervisor, by its documented command line (docs/README, `--help`).
//!
//! Its guests' serial port is the way out, and its power-management port ends them: a reset would start them again.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use isobench_reports::model::{TargetKind, Unavailable};
use isobench_vmm::linux::layout::SERIAL;
use isobench_workloads::guest_init::{Orders, PowerOff, Wire};

use super::{COMMAND_LINE, DISK, Guest, refused};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;
use crate::targets::peers::{Program, path_variable};
use crate::targets::{DiskAccess, Launch, Target};

/// Sleep state 5 and "sleep enable", as its ACPI tables have them (devices/src/acpi.rs).
const POWER_OFF: PowerOff = PowerOff {
    port: 0x600,
    value: 5 << 2 | 1 << 5,
};

#[derive(Debug)]
pub struct CloudHypervisor {
    pub(super) program: Program,
    pub(super) guest: Guest,
}

impl CloudHypervisor {
    pub fn new(workload: &Path) -> Self {
        Self {
            program: Program::new(
                "cloud-hypervisor",
                "Debian has no package of it: put `cloud-hypervisor` of a release of its project on the PATH",
            ),
            guest: Guest::new(workload),
        }
    }
}

impl Target for CloudHypervisor {
    fn name(&self) -> &'static str {
        "cloud-hypervisor"
    }

    fn description(&self) -> &'static str {
        "Cloud Hypervisor with the kernel and the files of microvm-linux; untested on the real program, only against its documentation."
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        self.program.version()
    }

    fn differences(&self) -> &'static [&'static str] {
        &[
            "the adapter follows the documented interface and is untested on the real program",
            "output leaves the guest a byte an exit, by the serial port, standard error with it",
            "the guest's files are in an archive that was written ahead of the start, not made in it",
            "standard input never ends, and there is no exit code: one other than 0 is a line on the output",
            "the disk is on PCI",
        ]
    }

    fn is_quick(&self) -> bool {
        false
    }

    fn tells_end_of_input(&self) -> bool {
        false
    }

    fn limits_memory(&self) -> bool {
        true
    }

    fn unavailable(&self, host: &HostReport) -> Option<Unavailable> {
        self.program
            .missing()
            .or_else(|| self.guest.kernel.unavailable(host))
    }

    fn disk_path(&self, _: &Path) -> PathBuf {
        DISK.into()
    }

    fn command(&self, launch: &Launch) -> io::Result<CommandLine> {
        let orders = Orders {
            ports: SERIAL.start,
            wire: Wire::Serial,
            power_off: Some(POWER_OFF),
            ..Orders::default()
        };
        let boot = self.guest.boot(launch, orders)?;
        let mut command = CommandLine::new(self.program.path())
            .args(["--kernel".as_ref(), boot.kernel.image.as_os_str()])
            .args(["--initramfs".as_ref(), boot.initramfs.as_os_str()])
            .args(["--cmdline", COMMAND_LINE, "--cpus", "boot=1", "--memory"])
            .args([format!("size={}", boot.memory.as_u64())])
            .args(["--serial", "tty", "--console", "off"]);
        if let Some(disk) = launch.disk {
            command = command.args([
                "--disk".into(),
                disk_option(disk, launch.access == DiskAccess::Direct)?,
            ]);
        }
        command.environment = path_variable();
        command.leftovers = boot.leftovers();
        Ok(command)
    }
}

fn disk_option(disk: &Path, direct: bool) -> io::Result<OsString> {
    if disk.as_os_str().as_encoded_bytes().contains(&b',') {
        let what = format!(
            "Cloud Hypervisor takes no path with a comma: {}",
            disk.display()
        );
        return Err(refused(what));
    }
    let mut option = OsString::from("path=");
    option.push(disk);
    option.push(if direct { ",direct=on" } else { "" });
    Ok(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_would_be_two_options_is_refused() {
        let option = disk_option(Path::new("/a b"), true).unwrap();
        assert_eq!(option, "path=/a b,direct=on");
        assert!(disk_option(Path::new("/a,b"), false).is_err());
    }
}
