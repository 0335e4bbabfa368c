//! Firecracker, by its documented configuration file (docs/getting-started.md, the API's specification).
//!
//! The serial port is the only way out of its guests that needs no driver: standard output and error share it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use isobench_reports::model::{TargetKind, Unavailable};
use isobench_vmm::linux::layout::SERIAL;
use isobench_workloads::guest_init::{Orders, Wire};
use serde_json::json;

use super::{COMMAND_LINE, DISK, Guest, refused};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;
use crate::targets::peers::{Program, path_variable, utf8};
use crate::targets::{DiskAccess, Launch, Target};

#[derive(Debug)]
pub struct Firecracker {
    pub(super) program: Program,
    pub(super) guest: Guest,
}

impl Firecracker {
    pub fn new(workload: &Path) -> Self {
        Self {
            program: Program::new(
                "firecracker",
                "Debian has no package of it: put `firecracker` of a release of its project on the PATH",
            ),
            guest: Guest::new(workload),
        }
    }
}

impl Target for Firecracker {
    fn name(&self) -> &'static str {
        "firecracker"
    }

    fn description(&self) -> &'static str {
        "Firecracker with the kernel and the files of microvm-linux; untested on the real program, only against its documentation."
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
            "no disk past the host's page cache",
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
        if launch.access == DiskAccess::Direct {
            let what = "Firecracker has no disk that goes past the host's page cache";
            return Err(refused(what.to_owned()));
        }
        let orders = Orders {
            ports: SERIAL.start,
            wire: Wire::Serial,
            ..Orders::default()
        };
        let boot = self.guest.boot(launch, orders)?;
        let path = |path: &Path| utf8(path.as_os_str());
        let mut drives = Vec::new();
        if let Some(disk) = launch.disk {
            drives.push(json!({
                "drive_id": "disk",
                "path_on_host": path(disk)?,
                "is_root_device": false,
                "is_read_only": false,
                // Else a flush of the guest's is none.
                "cache_type": "Writeback",
            }));
        }
        let configuration = json!({
            "boot-source": {
                "kernel_image_path": path(&boot.kernel.image)?,
                "initrd_path": path(&boot.initramfs)?,
                "boot_args": format!("{COMMAND_LINE} pci=off"),
            },
            "machine-config": { "vcpu_count": 1, "mem_size_mib": mebibytes(boot.memory)? },
            "drives": drives,
        });
        let file = boot.directory.join("configuration.json");
        fs::write(&file, configuration.to_string())?;
        // It logs to its standard output, the guest's own, unless it is given a file.
        let log = boot.directory.join("log");
        fs::write(&log, "")?;
        let mut command = CommandLine::new(self.program.path())
            .args(["--no-api", "--id", "isobench", "--level", "Error"])
            .args(["--log-path".as_ref(), log.as_os_str()])
            .args(["--config-file".as_ref(), file.as_os_str()]);
        command.environment = path_variable();
        command.leftovers = boot.leftovers();
        Ok(command)
    }
}

fn mebibytes(memory: ByteSize) -> io::Result<u64> {
    let unit = ByteSize::mib(1).as_u64();
    let bytes = memory.as_u64();
    if !bytes.is_multiple_of(unit) {
        return Err(refused(format!(
            "Firecracker takes whole mebibytes of memory, not {bytes} bytes"
        )));
    }
    Ok(bytes / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_whole_mebibytes() {
        assert_eq!(mebibytes(ByteSize::mib(128)).unwrap(), 128);
        assert!(mebibytes(ByteSize(1)).is_err());
    }
}
