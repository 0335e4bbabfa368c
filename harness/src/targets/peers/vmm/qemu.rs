//! QEMU as two machines: `microvm`, which is made for guests like `microvm-linux`, and `q35` with its
//! firmware, the PC that a traditional VM is.
//!
//! Output leaves the guest by QEMU's debug console, a port that takes a byte a write and needs no
//! driver: of all ways out, this one asks least of the kernel's boot.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use isobench_reports::model::TargetFamily;
use isobench_vmm::linux::layout::{ERROR_PORT, EXIT_PORT, OUTPUT_PORT};
use isobench_workloads::guest_init::{Orders, Wire};

use super::{Boot, COMMAND_LINE, Machine, Vmm, vmm_info};
use crate::instance::command_line::CommandLine;
use crate::targets::peers::program::{Program, Source};
use crate::targets::{DiskAccess, Launch, TargetInfo};

const PROGRAM: Program = Program {
    name: "qemu-system-x86_64",
    source: Source::Debian("qemu-system-x86"),
};

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

/// One of the two machines.
#[derive(Debug)]
pub(super) struct Qemu {
    /// The value of QEMU's option `-M`.
    options: &'static str,
    /// Words for the kernel's command line, beside those that every guest gets.
    words: &'static str,
    /// The device by which the guest has its disk.
    disk: &'static str,
    /// The form of the kernel that the machine boots.
    format: KernelFormat,
}

/// The form of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KernelFormat {
    /// The ELF file.
    Elf,
    /// The file that unpacks itself, which boot loaders load, where there is such a file.
    Compressed,
}

pub(super) static MICROVM: Qemu = Qemu {
    // Each is off that the guest can do without; QEMU's own documentation proposes the same.
    options: "microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,auto-kernel-cmdline=on",
    words: "pci=off",
    disk: "virtio-blk-device",
    format: KernelFormat::Elf,
};

pub(super) static PC: Qemu = Qemu {
    options: "q35,vmport=off",
    words: "",
    disk: "virtio-blk-pci",
    format: KernelFormat::Compressed,
};

/// The target `qemu-microvm`, with the workload at `init`.
pub fn microvm(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: differences!["a minimal firmware (qboot) runs before the kernel"],
        ..vmm_info(
            TargetFamily::MicroVm,
            "qemu-microvm",
            "QEMU's machine microvm with the kernel and the files of microvm-linux: no PCI, a minimal firmware.",
        )
    };
    Vmm::new(info, PROGRAM, &MICROVM, init)
}

/// The target `qemu-pc`, with the workload at `init`.
pub fn pc(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: differences![
            "firmware (SeaBIOS) runs first, and the kernel unpacks itself",
            "the devices of a PC, PCI among them",
        ],
        ..vmm_info(
            TargetFamily::TraditionalVm,
            "qemu-pc",
            "QEMU's PC q35 with its firmware, the traditional VM, with the kernel and the files of microvm-linux.",
        )
    };
    Vmm::new(info, PROGRAM, &PC, init)
}

impl Qemu {
    fn kernel<'b>(&self, boot: &Boot<'b>) -> &'b Path {
        let compressed = boot.kernel.bzimage.as_deref();
        compressed
            .filter(|_| self.format == KernelFormat::Compressed)
            .unwrap_or(&boot.kernel.image)
    }
}

impl Machine for Qemu {
    fn orders(&self) -> Orders {
        Orders {
            ports: OUTPUT_PORT,
            wire: Wire::Bytes,
            ..Orders::default()
        }
    }

    fn command(&self, vmm: &Path, launch: &Launch, boot: &Boot) -> io::Result<CommandLine> {
        let command = CommandLine::new(vmm)
            .args(["-M", self.options, "-accel", "kvm", "-cpu", "host"])
            .args(NO_WRITING_BACK)
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-smp", "1", "-m"])
            .args([format!("{}B", boot.memory.as_u64())])
            .args(["-kernel".as_ref(), self.kernel(boot).as_os_str()])
            .args(["-initrd".as_ref(), boot.initramfs.as_os_str()])
            .args(["-append", &format!("{COMMAND_LINE} {}", self.words)])
            .args(stream("out", 1))
            .args(debug_console("out", OUTPUT_PORT))
            .args(stream("err", 2))
            .args(debug_console("err", ERROR_PORT))
            .args(console(launch, boot)?)
            .args(["-serial", "chardev:console", "-device"])
            .args([format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4")]);
        let Some(disk) = launch.disk else {
            return Ok(command);
        };
        // The cache of a disk that its guest flushes, with or without the host's page cache.
        let cache = if launch.access == DiskAccess::Direct {
            "none"
        } else {
            "writeback"
        };
        Ok(command
            .args(["-drive".into(), drive(disk, cache)])
            .args(["-device", &format!("{},drive=disk", self.disk)]))
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
