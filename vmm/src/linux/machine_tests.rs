//! Guests of a few bytes of kernel: machines that boot on this host's KVM, of either kind.
//!
//! Each guest starts as a kernel does, in 64-bit mode and ring 0, with the zero page's address in
//! RSI.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytesize::ByteSize;
use isobench_testing::{Need, or_skip, skip};

use super::initramfs::Initramfs;
use super::layout::{EXIT_PORT, KEYBOARD, SERIAL};
use super::{BootError, Config, ConfigError, Ending, Kernel, Machine, RunError};
use crate::bare::guest_tests::elf;
use crate::devices::serial::KernelMessages;
use crate::kvm::{Hypervisor, KvmError};

/// Builds a kernel of one page: [`elf`], with the physical address that a kernel also has.
pub(crate) fn kernel_of(code: &[u8]) -> Vec<u8> {
    let mut file = elf(code);
    file[0x58..0x60].copy_from_slice(&0x40_0000_u64.to_le_bytes());
    file
}

pub(super) fn config(code: &[u8]) -> Config {
    let stored = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(stored.path(), kernel_of(code)).unwrap();
    let null = || OwnedFd::from(File::options().write(true).open("/dev/null").unwrap());
    Config {
        memory: ByteSize::mib(16),
        processors: 1,
        kernel: Kernel::open(stored.path()).unwrap(),
        files: Initramfs::default(),
        append: String::new(),
        disks: Vec::new(),
        network: None,
        kernel_messages: KernelMessages::Kept,
        input: None,
        output: null(),
        error: null(),
        limit: None,
        exits: Arc::default(),
    }
}

/// Boots a machine. The result is `None` if the host has no KVM, or one without interrupt
/// controllers.
fn boot(config: Config) -> Option<Result<Machine, BootError>> {
    let hypervisor = or_skip(Need::Kvm, Hypervisor::open())?;
    match Machine::boot(&hypervisor, config.check().unwrap(), Box::new(|_| ())) {
        Err(BootError::Kvm(KvmError::Ioctl { ioctl, source })) => {
            let why = format!("this host's KVM has no {ioctl}: {source}");
            skip(Need::HardwareKvm, why);
            None
        }
        result => Some(result),
    }
}

pub(super) fn run(config: Config) -> Option<Result<Ending, RunError>> {
    boot(config).map(|machine| machine.unwrap().run_here())
}

/// `mov $value, %eax; mov $port, %edx; out %al, %dx`
pub(super) fn out(port: u16, value: u8) -> Vec<u8> {
    let mut code = vec![0xb8, value, 0, 0, 0, 0xba];
    code.extend(u32::from(port).to_le_bytes());
    code.push(0xee);
    code
}

/// `mov $value, %eax; mov $address, %ebx; mov %eax, (%rbx)`
pub(super) fn store(address: u64, value: u32) -> Vec<u8> {
    let mut code = vec![0xb8];
    code.extend(value.to_le_bytes());
    code.push(0xbb);
    code.extend(u32::try_from(address).unwrap().to_le_bytes());
    code.extend([0x89, 0x03]);
    code
}

#[test]
fn a_kernel_s_exit_code_ends_the_machine() {
    if let Some(ending) = run(config(&out(EXIT_PORT, 42))) {
        assert_eq!(ending.unwrap(), Ending::Exited(42));
    }
}

#[test]
fn a_reset_is_no_exit() {
    if let Some(ending) = run(config(&out(KEYBOARD, 0xfe))) {
        assert_eq!(ending.unwrap(), Ending::Reset(String::new()));
    }
}

#[test]
fn a_kernel_that_halts_ends() {
    let said = b"reboot: System halted\n".iter();
    let mut code: Vec<u8> = said.flat_map(|&byte| out(SERIAL.start, byte)).collect();
    // cli; hlt
    code.extend([0xfa, 0xf4]);
    if let Some(ending) = run(config(&code)) {
        assert_eq!(ending.unwrap(), Ending::Halted);
    }
}

#[test]
fn a_kernel_finds_its_magic_in_the_zero_page() {
    // mov 0x202(%rsi), %eax; shr $24, %eax; mov $EXIT_PORT, %edx; out %al, %dx
    let mut code = vec![0x8b, 0x86, 2, 2, 0, 0, 0xc1, 0xe8, 24, 0xba];
    code.extend(u32::from(EXIT_PORT).to_le_bytes());
    code.push(0xee);
    if let Some(ending) = run(config(&code)) {
        assert_eq!(ending.unwrap(), Ending::Exited(b'S'));
    }
}

#[test]
fn nonsense_on_every_port_does_not_end_the_machine() {
    // A loop in the guest reads and writes every port but the exit's and the keyboard's:
    // mov $0xffff, %ecx; l: mov %ecx, %edx; cmp $KEYBOARD, %ecx; je n; cmp $EXIT, %ecx; je n;
    // in %dx, %eax; mov $0xdeadbeef, %eax; out %eax, %dx; n: dec %ecx; jnz l
    let mut code = vec![0xb9, 0xff, 0xff, 0, 0, 0x89, 0xca, 0x81, 0xf9];
    code.extend(u32::from(KEYBOARD).to_le_bytes());
    code.extend([0x74, 15, 0x81, 0xf9]);
    code.extend(u32::from(EXIT_PORT).to_le_bytes());
    code.extend([0x74, 7, 0xed, 0xb8, 0xef, 0xbe, 0xad, 0xde, 0xef]);
    code.extend([0xff, 0xc9]);
    let back = i8::try_from(5 - i32::try_from(code.len() + 2).unwrap()).unwrap();
    code.extend([0x75, back.cast_unsigned()]);
    code.extend(out(EXIT_PORT, 1));
    if let Some(ending) = run(config(&code)) {
        assert_eq!(ending.unwrap(), Ending::Exited(1));
    }
}

#[test]
fn a_triple_fault_is_no_reset() {
    // ud2, without a table of interrupts
    if let Some(ending) = run(config(&[0x0f, 0x0b])) {
        assert_eq!(ending.unwrap(), Ending::TripleFault(String::new()));
    }
}

#[test]
fn files_that_do_not_fit_are_refused_with_their_size() {
    let mut config = config(&[0xf4]);
    let bytes = vec![0; 13 << 20];
    config.files.bytes("/large", bytes).unwrap();
    let error = config.check().unwrap_err();
    assert!(matches!(error, ConfigError::Full { .. }), "{error}");
    let advice = "files take 13.0 MiB; use at least --memory 64MiB";
    assert!(error.to_string().ends_with(advice), "{error}");
}

#[test]
fn a_machine_that_cannot_be_is_refused_with_what_it_lacks() {
    let check = |change: fn(&mut Config)| {
        let mut config = config(&[0xf4]);
        change(&mut config);
        config.check().unwrap_err().to_string()
    };
    assert!(check(|c| c.processors = 0).contains("0 vCPUs: a guest has 1 to 32"));
    assert!(check(|c| c.processors = 33).contains("33 vCPUs"));
    assert!(check(|c| c.memory = ByteSize::mib(1)).contains("1.0 MiB"));
    assert!(check(|c| c.memory = ByteSize::tib(1000)).contains("more than this host"));
}
