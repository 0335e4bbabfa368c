//! Ring 0 of the bare guest: three pages, no state.
//!
//! A system call and an exception each end in one port write, and the port says which of them it
//! was. The stub to which `SYSCALL` jumps (`LSTAR`) lies on a page that ring 3 may run, for both
//! kinds of KVM:
//! - On hardware KVM, `SYSCALL` enters ring 0 at the stub. The port write exits, and `sysretq`
//!   returns.
//! - On software KVM, `SYSCALL` stays in ring 3. The port write exits from ring 3, since the TSS
//!   permits ring 3 this one port, and the VMM itself returns to the instruction after the
//!   `SYSCALL`. So no exception leads into an interpreted ring 0.
//!
//! A program may also jump to the stub, or write to the port. On hardware KVM both raise `#GP`,
//! since ring 3 may use no port. On software KVM a jump to the stub is a system call like any
//! other, and a write to the port stops the program.
//!
//! | page | permission | holds |
//! |---|---|---|
//! | 0 | ring 3 and 0: run | the system-call stub |
//! | 1 | ring 0: read, run | GDT, TSS, IDT, and one exception stub a vector |
//! | 2 | ring 0: read, write | the stack that exceptions push their frame on |

use kvm_bindings::{kvm_dtable, kvm_segment};

use super::address_space::{AddressSpace, Protection, Ring};
use crate::bare::layout::{EXCEPTION_PORTS, SYSTEM_CALL_PORT, TRAMPOLINE, TRAMPOLINE_FRAME};
use crate::kvm::KvmKind;
use crate::memory::PAGE;

/// The address to which `SYSCALL` jumps.
pub(crate) const SYSTEM_CALL_STUB: u64 = TRAMPOLINE;

/// The end of the ring-0 stack.
pub(crate) const RING0_STACK_END: u64 = TRAMPOLINE + 3 * PAGE;

const TABLES: u64 = TRAMPOLINE + PAGE;
const TSS: u64 = 0x80;
/// The bytes of the TSS, of the I/O permission bitmap up to the system call's port, and of the byte
/// of ones that ends the bitmap (Intel SDM vol. 1, 19.5.2).
const TSS_LENGTH: u64 = IO_BITMAP + BITMAP_LENGTH as u64;
const IO_BITMAP: u64 = 104;
const BITMAP_LENGTH: usize = SYSTEM_CALL_PORT as usize / 8 + 2;
const IDT: u64 = 0x200;
const STUBS: u64 = 0x400;
/// The number of exceptions of the architecture (Intel SDM vol. 3A, 6.3.1).
const VECTORS: u8 = 32;
const STUB_LENGTH: u64 = 4;

// Selectors, in the order that `STAR` demands (Intel SDM vol. 2B, SYSRET).
pub(crate) const KERNEL_CODE: u16 = 0x08;
pub(crate) const KERNEL_DATA: u16 = 0x10;
const USER_BASE: u16 = 0x18 | 3;
pub(crate) const USER_DATA: u16 = USER_BASE + 8;
pub(crate) const USER_CODE: u16 = USER_BASE + 16;
const TASK: u16 = 0x30;

/// `MSR_STAR`: the selectors of `SYSCALL` and `SYSRET`.
pub(crate) const STAR: u64 = (USER_BASE as u64) << 48 | (KERNEL_CODE as u64) << 32;

/// `out %al, $SYSTEM_CALL_PORT; sysretq`
const SYSTEM_CALL_CODE: [u8; 5] = [0xe6, SYSTEM_CALL_PORT, 0x48, 0x0f, 0x07];

/// `1: dec %rcx; jnz 1b; out %al, $SYSTEM_CALL_PORT; hlt`, with which the probe measures ring 0.
const RING0_LOOP_CODE: [u8; 8] = [0x48, 0xff, 0xc9, 0x75, 0xfb, 0xe6, SYSTEM_CALL_PORT, 0xf4];
const RING0_LOOP: u64 = STUBS + VECTORS as u64 * STUB_LENGTH;
const TABLES_LENGTH: usize = 0x500;
const _: () = assert!(RING0_LOOP + RING0_LOOP_CODE.len() as u64 <= TABLES_LENGTH as u64);

/// The address of the probe's loop, which only ring 0 can run.
pub(crate) const fn ring0_loop() -> u64 {
    TABLES + RING0_LOOP
}

/// Whether an exit at `rip` came from the system-call stub. One kind of KVM stops before the port
/// write, the other after.
pub(crate) fn is_system_call_stub(rip: u64) -> bool {
    matches!(rip.wrapping_sub(SYSTEM_CALL_STUB), 0 | 2)
}

/// Whether `rip` lies in the trampoline.
pub(crate) fn is_inside(rip: u64) -> bool {
    (TRAMPOLINE..RING0_STACK_END).contains(&rip)
}

/// Whether an exit at `rip` came from an exception stub, which only ring 0 can run.
pub(crate) fn is_exception_stub(rip: u64) -> bool {
    let stubs = TABLES + STUBS;
    (stubs..stubs + u64::from(VECTORS) * STUB_LENGTH).contains(&rip)
}

/// Puts the three pages into an empty address space.
pub(crate) fn install(memory: &mut AddressSpace, kind: KvmKind) {
    for (page, ring, protection) in [
        (0, Ring::User, Protection::READ_EXECUTE),
        (1, Ring::Kernel, Protection::READ_EXECUTE),
        (2, Ring::Kernel, Protection::READ_WRITE),
    ] {
        let (address, frame) = (TRAMPOLINE + page * PAGE, TRAMPOLINE_FRAME + page * PAGE);
        memory.map_trampoline(address, frame, ring, protection);
    }
    memory.ram().write(TRAMPOLINE_FRAME, &SYSTEM_CALL_CODE);
    memory
        .ram()
        .write(TRAMPOLINE_FRAME + PAGE, &tables_page(kind));
}

/// The guest physical address of the `length` bytes at ring-0 RSP. The result is `None` if they lie
/// outside of the ring-0 stack.
pub(crate) fn stack_frame(rsp: u64, length: u64) -> Option<u64> {
    let bottom = RING0_STACK_END - PAGE;
    (bottom..=RING0_STACK_END - length)
        .contains(&rsp)
        .then(|| TRAMPOLINE_FRAME + 2 * PAGE + (rsp - bottom))
}

/// GDT, TSS, IDT and exception stubs.
fn tables_page(kind: KvmKind) -> [u8; TABLES_LENGTH] {
    let mut page = [0; TABLES_LENGTH];
    let mut put = |at: u64, bytes: &[u8]| {
        let at = usize::try_from(at).expect("inside a page");
        page[at..at + bytes.len()].copy_from_slice(bytes);
    };
    for (selector, descriptor) in descriptors() {
        put(u64::from(selector & !7), &descriptor.to_le_bytes());
    }
    put(u64::from(TASK) + 8, &(TABLES >> 32).to_le_bytes());
    // RSP0 lies at offset 4, the bitmap's offset at 102 (Intel SDM vol. 3A, 8.7).
    put(TSS + 4, &RING0_STACK_END.to_le_bytes());
    put(TSS + 102, &IO_BITMAP.to_le_bytes()[..2]);
    put(TSS + IO_BITMAP, &[0xff; BITMAP_LENGTH]);
    if kind == KvmKind::Software {
        let permitted = !(1_u8 << (SYSTEM_CALL_PORT % 8));
        put(
            TSS + IO_BITMAP + u64::from(SYSTEM_CALL_PORT / 8),
            &[permitted],
        );
    }
    put(RING0_LOOP, &RING0_LOOP_CODE);
    for vector in 0..VECTORS {
        let stub = STUBS + u64::from(vector) * STUB_LENGTH;
        put(stub, &[0xe6, EXCEPTION_PORTS + vector, 0xf4, 0xf4]);
        put(IDT + u64::from(vector) * 16, &gate(TABLES + stub, vector));
    }
    page
}

/// The GDT's descriptors. All are marked accessed (and busy), so that the processor never writes to
/// them.
fn descriptors() -> [(u16, u64); 5] {
    let task = TABLES + TSS;
    let base = (task & 0xff_ffff) << 16 | (task >> 24 & 0xff) << 56;
    [
        (KERNEL_CODE, 0x00af_9b00_0000_ffff),
        (KERNEL_DATA, 0x00cf_9300_0000_ffff),
        (USER_DATA, 0x00cf_f300_0000_ffff),
        (USER_CODE, 0x00af_fb00_0000_ffff),
        (TASK, 0x0000_8b00_0000_0000 | base | (TSS_LENGTH - 1)),
    ]
}

/// A 64-bit interrupt gate (Intel SDM vol. 3A, 6.14.1). A program may raise `int3` and `into`
/// itself.
fn gate(handler: u64, vector: u8) -> [u8; 16] {
    let privilege: u64 = if matches!(vector, 3 | 4) { 3 } else { 0 };
    let low = handler & 0xffff
        | u64::from(KERNEL_CODE) << 16
        | (0x8e | privilege << 5) << 40
        | (handler >> 16 & 0xffff) << 48;
    (u128::from(low) | u128::from(handler >> 32) << 64).to_le_bytes()
}

/// The GDT register.
pub(crate) fn gdt() -> kvm_dtable {
    table(TABLES, u64::from(TASK) + 16)
}

/// The IDT register.
pub(crate) fn idt() -> kvm_dtable {
    table(TABLES + IDT, u64::from(VECTORS) * 16)
}

/// The task register.
pub(crate) fn task() -> kvm_segment {
    kvm_segment {
        base: TABLES + TSS,
        limit: u32::try_from(TSS_LENGTH - 1).expect("a hundred bytes"),
        selector: TASK,
        type_: 0xb,
        present: 1,
        ..kvm_segment::default()
    }
}

fn table(base: u64, length: u64) -> kvm_dtable {
    kvm_dtable {
        base,
        limit: u16::try_from(length - 1).expect("less than a page"),
        ..kvm_dtable::default()
    }
}
