#![expect(unsafe_code, reason = "gives guest RAM to a test's VM")]
//! Guests that fault, and go on.

use bytesize::ByteSize;
use isobench_testing::{Need, lacks};
use kvm_bindings::kvm_regs;
use kvm_ioctls::VmFd;

use super::address_space::{AddressSpace, Backing, GuestRam, Placement, Protection};
use super::exception::{Frame, Signal};
use super::layout::{PROGRAM, STACK_END, SYSTEM_CALL_PORT};
use super::resume::Exception;
use super::{registers, trampoline};
use crate::kvm::exits::VmExit;
use crate::kvm::{Hypervisor, Vcpu};
use crate::memory::PAGE;

/// The page that the guests access, and that is not mapped at first.
const AT: u64 = 0x2000_0000;
const PAGE_FAULT: u8 = 14;

/// A guest of a few instructions, without a loader and without system calls.
struct Guest {
    // The order of the fields is the order in which they must be dropped.
    vcpu: Vcpu,
    _vm: VmFd,
    memory: AddressSpace,
}

impl Guest {
    fn new(code: &[u8]) -> Self {
        let hypervisor = Hypervisor::open().unwrap();
        let vm = hypervisor.create_vm().unwrap();
        let ram = GuestRam::new(ByteSize::mib(2)).unwrap();
        // SAFETY: the guest owns the RAM and the vCPU. It drops the vCPU first.
        unsafe { ram.attach(&vm).unwrap() };
        let mut vcpu = Vcpu::new(&hypervisor, &vm, 0).unwrap();
        let mut memory = AddressSpace::new(ram);
        trampoline::install(&mut memory, hypervisor.kind());
        let fixed = Placement::Fixed(PROGRAM);
        memory
            .map(fixed, PAGE, Protection::READ_EXECUTE, Backing::Bytes(code))
            .unwrap();
        let start = registers::at_entry(hypervisor.kind(), 0, memory.root(), PROGRAM, STACK_END);
        vcpu.set_start(&start).unwrap();
        Self {
            vcpu,
            _vm: vm,
            memory,
        }
    }

    fn run_to_exception(&mut self) -> Exception {
        let exit = self.vcpu.run().unwrap();
        Exception::take(&exit, &mut self.vcpu, &self.memory)
            .unwrap()
            .unwrap_or_else(|| panic!("{exit} is no exception"))
    }

    /// Runs to a system call, and gives the registers.
    fn run_to_call(&mut self) -> kvm_regs {
        let exit = self.vcpu.run().unwrap();
        assert_eq!(exit, VmExit::PortWrite(SYSTEM_CALL_PORT.into()));
        self.vcpu.registers()
    }

    fn map_page(&mut self, at: u64) {
        let fixed = Placement::Fixed(at);
        self.memory
            .map(fixed, PAGE, Protection::READ_WRITE, Backing::Anonymous)
            .unwrap();
    }
}

/// Fills registers, writes to two pages, looks whether all is still there, and makes a system call.
const WRITE_AND_LOOK: [u8; 55] = [
    0xbb, 0x34, 0x12, 0, 0, // mov $0x1234, %ebx
    0x66, 0x48, 0x0f, 0x6e, 0xc3, // movq %rbx, %xmm0
    0xf9, // stc
    0xc6, 0x04, 0x25, 0, 0, 0, 0x20, 7, // movb $7, (AT)
    0xc6, 0x04, 0x25, 0, 0x10, 0, 0x20, 8, // movb $8, (AT + PAGE)
    0x0f, 0x92, 0xc2, // setc %dl
    0x0f, 0xb6, 0x3c, 0x25, 0, 0, 0, 0x20, // movzbl (AT), %edi
    0x64, 0x8b, 0x34, 0x25, 8, 0, 0, 0, // mov %fs:8, %esi
    0x66, 0x49, 0x0f, 0x7e, 0xc0, // movq %xmm0, %r8
    0x0f, 0x05, // syscall
    0x0f, 0x0b, // ud2
];

#[test]
fn a_program_goes_on_after_a_page_fault_with_all_its_registers() {
    if lacks(Need::Kvm) {
        return;
    }
    let mut guest = Guest::new(&WRITE_AND_LOOK);
    let first = guest.run_to_exception();
    assert_eq!((first.vector, first.fault_address), (PAGE_FAULT, AT));
    // The error code says: not present, written to, from ring 3.
    assert_eq!((first.frame.error_code, first.frame.rip), (6, PROGRAM + 11));
    assert_eq!((first.frame.rsp, first.frame.rflags & 1), (STACK_END, 1));
    guest.map_page(AT);
    guest.vcpu.set_msr(registers::MSR_FS_BASE, AT - 8).unwrap();
    let second = guest.run_to_exception();
    assert_eq!(second.fault_address, AT + PAGE);
    guest.map_page(AT + PAGE);
    let end = guest.run_to_call();
    assert_eq!((end.rbx, end.rdi, end.rsi), (0x1234, 7, 7));
    assert_eq!((end.rdx, end.r8, end.rsp), (1, 0x1234, STACK_END));
}

#[test]
fn an_access_that_faults_again_comes_out_again() {
    if lacks(Need::Kvm) {
        return;
    }
    let mut guest = Guest::new(&WRITE_AND_LOOK);
    let first = guest.run_to_exception();
    for _ in 0..3 {
        assert_eq!(guest.run_to_exception(), first);
    }
    let death = first.death();
    let expected = (Signal::Segmentation, PROGRAM + 11, Some(AT));
    assert_eq!((death.signal, death.rip, death.address), expected);
}

#[test]
fn a_program_goes_on_elsewhere_if_its_registers_say_so() {
    if lacks(Need::Kvm) {
        return;
    }
    // ud2; push %rsp; pop %rdi; syscall
    let mut guest = Guest::new(&[0x0f, 0x0b, 0x54, 0x5f, 0x0f, 0x05]);
    guest.map_page(AT);
    let illegal = guest.run_to_exception();
    assert_eq!((illegal.vector, illegal.frame.error_code), (6, 0));
    let mut program = guest.vcpu.registers();
    assert_eq!((program.rip, program.rsp), (PROGRAM, STACK_END));
    program.rip += 2;
    program.rsp = AT + PAGE;
    guest.vcpu.set_registers(&program);
    let end = guest.run_to_call();
    assert_eq!((end.rsp, end.rdi), (AT + PAGE, AT + PAGE));
}

#[test]
fn a_frame_from_ring_0_is_known() {
    for (cs, is_from_ring3) in [
        (trampoline::USER_CODE, true),
        (trampoline::KERNEL_CODE, false),
        (0, false),
    ] {
        let frame = Frame {
            cs: cs.into(),
            ..Frame::default()
        };
        assert_eq!(frame.is_from_ring3(), is_from_ring3, "{cs:#x}");
    }
}

#[test]
fn a_frame_is_read_only_from_the_ring_0_stack() {
    let memory = AddressSpace::new(GuestRam::new(ByteSize::mib(1)).unwrap());
    let pushed: Vec<u8> = (1_u64..=6).flat_map(u64::to_le_bytes).collect();
    let top = trampoline::RING0_STACK_END;
    memory
        .ram()
        .write(trampoline::stack_frame(top - 48, 48).unwrap(), &pushed);
    let whole = Frame {
        error_code: 1,
        rip: 2,
        cs: 3,
        rflags: 4,
        rsp: 5,
        ss: 6,
    };
    assert_eq!(Frame::read(&memory, top - 48, PAGE_FAULT), whole);
    let without_code = Frame {
        error_code: 0,
        ..whole
    };
    assert_eq!(Frame::read(&memory, top - 40, 6), without_code);
    for outside in [top - 40, top, top - PAGE - 8, 0, u64::MAX, STACK_END] {
        assert_eq!(
            Frame::read(&memory, outside, PAGE_FAULT),
            Frame::default(),
            "{outside:#x}"
        );
    }
}
