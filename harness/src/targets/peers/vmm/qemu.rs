//! QEMU with two of its machines, each with KVM and with an emulated processor. `microvm` is made for guests such as `microvm-linux`. `q35` with
//! its firmware is a PC, which stands for a traditional VM.
//!
//! Output leaves the guest by QEMU's debug console, a port that takes one byte for each write. The
//! port needs no driver, so it adds less to the kernel's boot than any other device for output.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use isobench_reports::model::TargetFamily;
use isobench_vmm::linux::layout::{ERROR_PORT, EXIT_PORT, OUTPUT_PORT};
use isobench_workloads::guest_init::{Orders, Wire};

use super::{COMMAND_LINE, Guest, PREPARED_ARCHIVE, Vmm, VmmAdapter, vmm_info};
use crate::instance::command_line::CommandLine;
use crate::targets::peers::program::{Program, Source};
use crate::targets::{DiskAccess, Launch, TargetInfo};

const PROGRAM: Program = Program {
    name: "qemu-system-x86_64",
    source: Source::Debian("qemu-system-x86"),
};

/// The differences between both machines and isobench's VMM.
macro_rules! differences {
    ($($own:expr),* $(,)?) => {
        &[
            "output leaves the guest by QEMU's debug console, with one VM exit for each byte",
            PREPARED_ARCHIVE,
            "standard input never ends; QEMU's exit code is 2N + 1 if the program's is N, not 0",
            "no seccomp filter",
            "no acceleration for Windows guests (vapic=off)",
            $($own),*
        ]
    };
}

/// The difference of a machine with an emulated processor.
const EMULATED: &str = "its processor is emulated: its figures are shapes, not absolute times";

/// Switches off what accelerates task priorities for Windows. With that feature (and with the PC's
/// `vmport`), QEMU at times reads the processor's state and writes the state back. The task
/// register then says "busy", and an emulated processor denies programs their ports.
const NO_VAPIC: [&str; 2] = ["-global", "apic-common.vapic=off"];

/// The adapter for QEMU with one of the two machines.
#[derive(Debug)]
pub(super) struct Qemu {
    /// The value of QEMU's option `-M`.
    machine: &'static str,
    /// Options for the kernel's command line, beside those that every guest gets.
    kernel_options: &'static str,
    /// The name of the guest's disk device.
    disk: &'static str,
    /// The format of the kernel that the machine boots.
    format: KernelFormat,
    /// What executes the guest's instructions.
    processor: Processor,
}

/// What executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Processor {
    /// The host's processor, by KVM.
    Host,
    /// QEMU's own translator (TCG), which needs no KVM.
    Emulated,
}

impl Processor {
    /// QEMU's options for this processor.
    const fn options(self) -> [&'static str; 4] {
        match self {
            Self::Host => ["-accel", "kvm", "-cpu", "host"],
            Self::Emulated => ["-accel", "tcg", "-cpu", "max"],
        }
    }
}

/// The format of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KernelFormat {
    /// The ELF file.
    Elf,
    /// The file that boot loaders load, and that unpacks itself. Without such a file, the ELF file
    /// is used.
    Compressed,
}

pub(super) static MICROVM: Qemu = Qemu {
    // Everything that the guest doesn't need is off, as QEMU's own documentation proposes.
    machine: "microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=on,\
              auto-kernel-cmdline=on",
    kernel_options: "pci=off",
    disk: "virtio-blk-device",
    format: KernelFormat::Elf,
    processor: Processor::Host,
};

pub(super) static MICROVM_EMULATED: Qemu = Qemu {
    // Without KVM's clock the kernel measures the processor's counter against the PIT, whose
    // interrupt comes by the PIC.
    machine: "microvm,acpi=off,x-option-roms=off,isa-serial=on,auto-kernel-cmdline=on",
    processor: Processor::Emulated,
    ..MICROVM
};

pub(super) static PC: Qemu = Qemu {
    machine: "q35,vmport=off",
    kernel_options: "",
    disk: "virtio-blk-pci",
    format: KernelFormat::Compressed,
    processor: Processor::Host,
};

pub(super) static PC_EMULATED: Qemu = Qemu {
    processor: Processor::Emulated,
    ..PC
};

/// The target `qemu-microvm`. `init` is the path of the workload.
pub fn microvm(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: differences!["a minimal firmware (qboot) runs before the kernel"],
        ..vmm_info(
            TargetFamily::MicroVm,
            "qemu-microvm",
            "QEMU's machine microvm with the kernel and the files of microvm-linux: no PCI, a \
             minimal firmware.",
        )
    };
    Vmm::new(info, PROGRAM, &MICROVM, init)
}

/// The target `qemu-pc`. `init` is the path of the workload.
pub fn pc(init: &Path) -> Vmm {
    let info = TargetInfo {
        differences: differences![
            "firmware (SeaBIOS) runs first, and the kernel unpacks itself",
            "the devices of a PC, such as PCI",
        ],
        ..vmm_info(
            TargetFamily::TraditionalVm,
            "qemu-pc",
            "QEMU's PC q35 with its firmware, the traditional VM, with the kernel and the files \
             of microvm-linux.",
        )
    };
    Vmm::new(info, PROGRAM, &PC, init)
}

/// The target `qemu-microvm-tcg`. `init` is the path of the workload.
pub fn emulated_microvm(init: &Path) -> Vmm {
    let info = TargetInfo {
        emulated: true,
        differences: differences![
            EMULATED,
            "a minimal firmware (qboot) runs before the kernel"
        ],
        ..vmm_info(
            TargetFamily::MicroVm,
            "qemu-microvm-tcg",
            "qemu-microvm with an emulated processor: it needs no KVM, and takes tens of times \
             longer.",
        )
    };
    Vmm::new(info, PROGRAM, &MICROVM_EMULATED, init).without_kvm()
}

/// The target `qemu-pc-tcg`. `init` is the path of the workload.
pub fn emulated_pc(init: &Path) -> Vmm {
    let info = TargetInfo {
        emulated: true,
        differences: differences![
            EMULATED,
            "firmware (SeaBIOS) runs first, and the kernel unpacks itself",
            "the devices of a PC, such as PCI",
        ],
        ..vmm_info(
            TargetFamily::TraditionalVm,
            "qemu-pc-tcg",
            "qemu-pc with an emulated processor: the traditional VM on a host without hardware \
             KVM, tens of times slower.",
        )
    };
    Vmm::new(info, PROGRAM, &PC_EMULATED, init).without_kvm()
}

impl Qemu {
    /// The kernel file that the machine boots.
    fn kernel<'g>(&self, guest: &Guest<'g>) -> &'g Path {
        let compressed = guest.kernel.bzimage.as_deref();
        compressed
            .filter(|_| self.format == KernelFormat::Compressed)
            .unwrap_or(&guest.kernel.image)
    }
}

impl VmmAdapter for Qemu {
    fn orders(&self) -> Orders {
        Orders {
            ports: OUTPUT_PORT,
            wire: Wire::Bytes,
            ..Orders::default()
        }
    }

    fn command(&self, vmm: &Path, launch: &Launch, guest: &Guest) -> io::Result<CommandLine> {
        let kernel_options = format!("{COMMAND_LINE} {}", self.kernel_options);
        let command = CommandLine::new(vmm)
            .args(["-M", self.machine])
            .args(self.processor.options())
            .args(NO_VAPIC)
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-smp", "1", "-m"])
            .args([format!("{}B", guest.memory.as_u64())])
            .args(["-kernel".as_ref(), self.kernel(guest).as_os_str()])
            .args(["-initrd".as_ref(), guest.initramfs.as_os_str()])
            .args(["-append", &kernel_options])
            .args(stream("out", 1))
            .args(debug_console("out", OUTPUT_PORT))
            .args(stream("err", 2))
            .args(debug_console("err", ERROR_PORT))
            .args(console(launch, guest)?)
            .args(["-serial", "chardev:console", "-device"])
            .args([format!("isa-debug-exit,iobase={EXIT_PORT:#x},iosize=4")]);
        let Some(disk) = launch.disk else {
            return Ok(command);
        };
        // With either mode, the guest's flushes reach the disk. Only "none" bypasses the host's
        // page cache.
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

/// Opens one of QEMU's own streams by its descriptor's number. QEMU's `stdio` would make the stream
/// nonblocking for all other processes that share it.
fn stream(name: &str, descriptor: u8) -> [String; 2] {
    let options = format!("file,id={name},path=/proc/self/fd/{descriptor},append=on");
    ["-chardev".to_owned(), options]
}

/// The options for the serial port. The kernel's console writes to standard error through the port.
/// If the launch has standard input, the guest reads it through the port as well: QEMU then opens
/// two named pipes.
fn console(launch: &Launch, guest: &Guest) -> io::Result<Vec<OsString>> {
    if !launch.keeps_stdin_open {
        return Ok(stream("console", 2).map(OsString::from).to_vec());
    }
    let pipes = guest.directory.join("serial");
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

/// Doubles the commas in a path, because a single comma separates options.
fn escaped(path: &Path) -> OsString {
    let bytes = path.as_os_str().as_encoded_bytes();
    let pieces: Vec<_> = bytes.split(|&byte| byte == b',').collect();
    OsString::from_vec(pieces.join(&b",,"[..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_in_a_disk_s_path_is_doubled() {
        assert_eq!(
            drive(Path::new("/a,b"), "none"),
            "if=none,id=disk,format=raw,cache=none,file=/a,,b"
        );
    }
}
