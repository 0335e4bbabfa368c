//! QEMU as two machines: `microvm`, which is made for guests like `microvm-linux`, and `q35` with its firmware, the PC that a
//! traditional VM is.
//!
//! Output leaves the guest by QEMU's debug console, a port that takes a byte a write and needs no driver: of all ways it
//! is the one that asks least of the kernel's boot.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use isobench_reports::model::{TargetKind, Unavailable};
use isobench_vmm::linux::layout::{ERROR_PORT, EXIT_PORT, OUTPUT_PORT};
use isobench_workloads::guest_init::{Orders, Wire};

use super::{Boot, COMMAND_LINE, DISK, Guest};
use crate::host::facts::HostReport;
use crate::instance::command_line::CommandLine;
use crate::targets::peers::{Program, path_variable};
use crate::targets::{DiskAccess, Launch, Target};

/// What both machines do otherwise than isobench's VMM.
macro_rules! differences {
    ($($own:literal),* $(,)?) => {
        &[
            "output leaves the guest a byte an exit, by QEMU's debug console",
            "the guest's files are in an archive that was written ahead of the start, not made in it",
            "standard input never ends; exit code N other than 0 comes out as 2N + 1",
            "no seccomp filter",
            "no help for Windows guests (vapic=off)",
            $($own),*
        ]
    };
}

/// Without what speeds up task priorities for Windows. With it (and with the PC's `vmport`) QEMU reads the processor's state and
/// writes it back at times, with a task register that says "busy", and an emulated processor then refuses ports to programs.
const NO_WRITING_BACK: [&str; 2] = ["-global", "apic-common.vapic=off"];

/// What tells the two machines apart.
#[derive(Debug)]
pub(super) struct Machine {
    name: &'static str,
    description: &'static str,
    differences: &'static [&'static str],
    /// For `-M`.
    options: &'static str,
    /// For the kernel, beside what all are told.
    words: &'static str,
    /// The device that a disk is.
    disk: &'static str,
    /// Whether it boots the compressed kernel, as a boot loader does.
    compressed: bool,
}

const MICROVM: Machine = Machine {
    name: "qemu-microvm",
    description: "QEMU's machine microvm with the kernel and the files of microvm-linux: no PCI, a minimal firmware.",
    differences: differences!["a minimal firmware (qboot) runs before the kernel"],
    // Each is off that the guest can do without; QEMU's own documentation proposes the same.
    options: "microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,auto-kernel-cmdline=on",
    words: "pci=off",
    disk: "virtio-blk-device",
    compressed: false,
};

const PC: Machine = Machine {
    name: "qemu-pc",
    description: "QEMU's PC q35 with its firmware, the traditional VM, with the kernel and the files of microvm-linux.",
    differences: differences![
        "firmware (SeaBIOS) runs first, and the kernel unpacks itself",
        "the devices of a PC, PCI among them",
    ],
    options: "q35,vmport=off",
    words: "",
    disk: "virtio-blk-pci",
    compressed: true,
};

#[derive(Debug)]
pub struct Qemu {
    pub(super) machine: &'static Machine,
    pub(super) program: Program,
    pub(super) guest: Guest,
}

impl Qemu {
    /// Its lean machine.
    pub fn microvm(workload: &Path) -> Self {
        Self::new(&MICROVM, workload)
    }

    /// Its PC.
    pub fn pc(workload: &Path) -> Self {
        Self::new(&PC, workload)
    }

    fn new(machine: &'static Machine, workload: &Path) -> Self {
        Self {
            machine,
            program: Program::new(
                "qemu-system-x86_64",
                "install Debian's package `qemu-system-x86`",
            ),
            guest: Guest::new(workload),
        }
    }

    fn kernel<'b>(&self, boot: &Boot<'b>) -> &'b Path {
        let compressed = boot.kernel.bzimage.as_deref();
        compressed
            .filter(|_| self.machine.compressed)
            .unwrap_or(&boot.kernel.image)
    }
}

impl Target for Qemu {
    fn name(&self) -> &'static str {
        self.machine.name
    }

    fn description(&self) -> &'static str {
        self.machine.description
    }

    fn kind(&self) -> TargetKind {
        TargetKind::Peer
    }

    fn version(&self) -> Option<String> {
        let qemu = self.program.version()?;
        match self.guest.kernel.version() {
            Some(kernel) => Some(format!("{qemu}, guest {kernel}")),
            None => Some(qemu),
        }
    }

    fn differences(&self) -> &'static [&'static str] {
        self.machine.differences
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
            ports: OUTPUT_PORT,
            wire: Wire::Bytes,
            ..Orders::default()
        };
        let boot = self.guest.boot(launch, orders)?;
        let mut command = CommandLine::new(self.program.path())
            .args(["-M", self.machine.options, "-accel", "kvm", "-cpu", "host"])
            .args(NO_WRITING_BACK)
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-smp", "1", "-m"])
            .args([format!("{}B", boot.memory.as_u64())])
            .args(["-kernel".as_ref(), self.kernel(&boot).as_os_str()])
            .args(["-initrd".as_ref(), boot.initramfs.as_os_str()])
            .args(["-append", &format!("{COMMAND_LINE} {}", self.machine.words)])
            .args(stream("out", 1))
            .args(debug_console("out", OUTPUT_PORT))
            .args(stream("err", 2))
            .args(debug_console("err", ERROR_PORT))
            .args(console(launch, &boot)?)
            .args(["-serial", "chardev:console", "-device"])
            .args([format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4")]);
        if let Some(disk) = launch.disk {
            // The cache of a disk that its guest flushes, with or without the host's page cache.
            let cache = if launch.access == DiskAccess::Direct {
                "none"
            } else {
                "writeback"
            };
            command = command
                .args(["-drive".into(), drive(disk, cache)])
                .args(["-device", &format!("{},drive=disk", self.machine.disk)]);
        }
        command.environment = path_variable();
        command.leftovers = boot.leftovers();
        Ok(command)
    }
}

/// One of QEMU's own streams. By its number: QEMU's `stdio` would make it nonblocking for whoever else has it.
fn stream(name: &str, descriptor: u8) -> [String; 2] {
    let options = format!("file,id={name},path=/proc/self/fd/{descriptor},append=on");
    ["-chardev".to_owned(), options]
}

/// The serial port: the kernel's console goes to standard error, and standard input comes from it, if there is one. QEMU
/// takes the two from a pair of pipes with names.
fn console(launch: &Launch, boot: &Boot) -> io::Result<Vec<OsString>> {
    if !launch.holds_input {
        return Ok(stream("console", 2).map(OsString::from).to_vec());
    }
    let pipes = boot.directory.join("serial");
    symlink("/proc/self/fd/0", pipes.with_extension("in"))?;
    symlink("/proc/self/fd/2", pipes.with_extension("out"))?;
    let mut options = OsString::from("pipe,id=console,path=");
    options.push(escaped(&pipes));
    Ok(vec!["-chardev".into(), options])
}

fn debug_console(stream: &str, port: u16) -> [String; 2] {
    let options = format!("isa-debugcon,iobase={port:#x},chardev={stream}");
    ["-device".to_owned(), options]
}

fn drive(disk: &Path, cache: &str) -> OsString {
    let mut option = OsString::from(format!("if=none,id=disk,format=raw,cache={cache},file="));
    option.push(escaped(disk));
    option
}

/// A comma in a path is doubled, since it separates options.
fn escaped(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_encoded_bytes();
    let pieces: Vec<_> = bytes.split(|&byte| byte == b',').collect();
    OsString::from_vec(pieces.join(&b",,"[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_disk_s_path_is_no_option() {
        assert_eq!(
            drive(Path::new("/a,b"), "none"),
            "if=none,id=disk,format=raw,cache=none,file=/a,,b"
        );
    }
}
