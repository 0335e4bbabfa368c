//! Firecracker, started with its documented configuration file (docs/getting-started.md, the API's
//! specification).
//!
//! The serial port is the only device for output that needs no driver in the guest. So standard
//! output and standard error share the serial port.

use std::fs;
use std::io;
use std::path::Path;

use bytesize::ByteSize;
use isobench_reports::model::TargetFamily;
use isobench_vmm::linux::layout::SERIAL;
use isobench_workloads::guest_init::{Orders, Wire};
use serde_json::{Value, json};

use super::{
    COMMAND_LINE, Guest, NO_EXIT_CODE, PREPARED_ARCHIVE, SERIAL_OUTPUT, UNTESTED, Vmm, VmmAdapter,
    WITHOUT_EXIT_CODE, unsupported, vmm_info,
};
use crate::instance::command_line::CommandLine;
use crate::targets::peers::instance::utf8;
use crate::targets::peers::program::{Program, Source};
use crate::targets::{Capability, DiskAccess, Launch, TargetInfo};

/// The target `firecracker`. `init` is the path of the workload.
pub fn target(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: &[
            UNTESTED,
            SERIAL_OUTPUT,
            PREPARED_ARCHIVE,
            NO_EXIT_CODE,
            "no disk that bypasses the host's page cache",
        ],
        capabilities: WITHOUT_EXIT_CODE.without(Capability::BypassPageCache),
        ..vmm_info(
            TargetFamily::MicroVm,
            "firecracker",
            "Firecracker with the kernel and the files of microvm-linux; untested on the real \
             program, only against its documentation.",
        )
    };
    let program = Program {
        name: "firecracker",
        source: Source::Elsewhere(
            "Debian has no package of Firecracker: put `firecracker` of a release of its project \
             on the PATH",
        ),
    };
    Vmm::new(info, program, &Firecracker, init)
}

/// The adapter for Firecracker. The VMM's API isn't used.
#[derive(Debug)]
pub(super) struct Firecracker;

impl VmmAdapter for Firecracker {
    fn orders(&self) -> Orders {
        Orders {
            ports: SERIAL.start,
            wire: Wire::Serial,
            ..Orders::default()
        }
    }

    fn check(&self, launch: &Launch) -> io::Result<()> {
        if launch.access == DiskAccess::Direct {
            let what = "Firecracker has no disk that bypasses the host's page cache";
            return Err(unsupported(what.to_owned()));
        }
        Ok(())
    }

    fn command(&self, vmm: &Path, launch: &Launch, guest: &Guest) -> io::Result<CommandLine> {
        let file = guest.directory.join("configuration.json");
        fs::write(&file, configuration(launch, guest)?.to_string())?;
        // Without a log file, Firecracker would log to its standard output, which is the guest's
        // output.
        let log = guest.directory.join("log");
        fs::write(&log, "")?;
        Ok(CommandLine::new(vmm)
            .args(["--no-api", "--id", "isobench", "--level", "Error"])
            .args(["--log-path".as_ref(), log.as_os_str()])
            .args(["--config-file".as_ref(), file.as_os_str()]))
    }
}

/// The configuration file of one instance.
fn configuration(launch: &Launch, guest: &Guest) -> io::Result<Value> {
    let path = |path: &Path| utf8(path.as_os_str());
    let mut drives = Vec::new();
    if let Some(disk) = launch.disk {
        drives.push(json!({
            "drive_id": "disk",
            "path_on_host": path(disk)?,
            "is_root_device": false,
            "is_read_only": false,
            // Without a cache, Firecracker ignores the guest's flushes.
            "cache_type": "Writeback",
        }));
    }
    Ok(json!({
        "boot-source": {
            "kernel_image_path": path(&guest.kernel.image)?,
            "initrd_path": path(&guest.initramfs)?,
            "boot_args": format!("{COMMAND_LINE} pci=off"),
        },
        "machine-config": { "vcpu_count": 1, "mem_size_mib": mebibytes(guest.memory) },
        "drives": drives,
    }))
}

/// `memory` in the whole mebibytes that Firecracker takes.
fn mebibytes(memory: ByteSize) -> u64 {
    memory.as_u64().div_ceil(ByteSize::mib(1).as_u64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_rounded_up_to_mebibytes() {
        assert_eq!(mebibytes(ByteSize::mib(128)), 128);
        assert_eq!(mebibytes(ByteSize((128 << 20) + 1)), 129);
    }
}
