//! Firecracker, by its documented configuration file (docs/getting-started.md, the API's
//! specification).
//!
//! The serial port is the only way out of its guests that needs no driver: standard output and error
//! share it.

use std::fs;
use std::io;
use std::path::Path;

use bytesize::ByteSize;
use isobench_reports::model::TargetFamily;
use isobench_vmm::linux::layout::SERIAL;
use isobench_workloads::guest_init::{Orders, Wire};
use serde_json::{Value, json};

use super::{Boot, COMMAND_LINE, Machine, Vmm, refused, vmm_info};
use crate::instance::command_line::CommandLine;
use crate::targets::peers::instance::utf8;
use crate::targets::peers::program::{Program, Source};
use crate::targets::{DiskAccess, Launch, TargetInfo};

/// The target `firecracker`, with the workload at `init`.
pub fn target(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: &[
            "the adapter follows the documented interface and is untested on the real program",
            "output leaves the guest a byte an exit, by the serial port, standard error with it",
            "the guest's files are in an archive that was written ahead of the start, not made in it",
            "standard input never ends, and there is no exit code: one other than 0 is a line on the output",
            "no disk past the host's page cache",
        ],
        ..vmm_info(
            TargetFamily::MicroVm,
            "firecracker",
            "Firecracker with the kernel and the files of microvm-linux; untested on the real program, only against its documentation.",
        )
    };
    let program = Program {
        name: "firecracker",
        source: Source::Elsewhere(
            "Debian has no package of it: put `firecracker` of a release of its project on the PATH",
        ),
    };
    Vmm::new(info, program, &Firecracker, init)
}

/// Firecracker without its API.
#[derive(Debug)]
pub(super) struct Firecracker;

impl Machine for Firecracker {
    fn orders(&self) -> Orders {
        Orders {
            ports: SERIAL.start,
            wire: Wire::Serial,
            ..Orders::default()
        }
    }

    fn check(&self, launch: &Launch) -> io::Result<()> {
        if launch.access == DiskAccess::Direct {
            let what = "Firecracker has no disk that goes past the host's page cache";
            return Err(refused(what.to_owned()));
        }
        Ok(())
    }

    fn command(&self, vmm: &Path, launch: &Launch, boot: &Boot) -> io::Result<CommandLine> {
        let file = boot.directory.join("configuration.json");
        fs::write(&file, configuration(launch, boot)?.to_string())?;
        // Firecracker logs to its standard output, the guest's own, unless it is given a file.
        let log = boot.directory.join("log");
        fs::write(&log, "")?;
        Ok(CommandLine::new(vmm)
            .args(["--no-api", "--id", "isobench", "--level", "Error"])
            .args(["--log-path".as_ref(), log.as_os_str()])
            .args(["--config-file".as_ref(), file.as_os_str()]))
    }
}

/// The configuration file of one instance.
fn configuration(launch: &Launch, boot: &Boot) -> io::Result<Value> {
    let path = |path: &Path| utf8(path.as_os_str());
    let mut drives = Vec::new();
    if let Some(disk) = launch.disk {
        drives.push(json!({
            "drive_id": "disk",
            "path_on_host": path(disk)?,
            "is_root_device": false,
            "is_read_only": false,
            // Without a cache, a flush of the guest's does nothing.
            "cache_type": "Writeback",
        }));
    }
    Ok(json!({
        "boot-source": {
            "kernel_image_path": path(&boot.kernel.image)?,
            "initrd_path": path(&boot.initramfs)?,
            "boot_args": format!("{COMMAND_LINE} pci=off"),
        },
        "machine-config": { "vcpu_count": 1, "mem_size_mib": mebibytes(boot.memory)? },
        "drives": drives,
    }))
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
