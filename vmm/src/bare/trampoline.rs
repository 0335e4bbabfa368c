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
//! | 1 | ring 0: read, run | GDT, IDT, a TSS a processor, and one exception stub a vector |
//! | 2 | ring 0: read, write | the stack that exceptions push their frame on, in parts |

use kvm_bindings::{kvm_dtable, kvm_segment};

use super::address_space::{AddressSpace, Protection, Ring};
use super::config::MOST_PROCESSORS;
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
const TSS_LENGTH: usize = IO_BITMAP + BITMAP_LENGTH;
const IO_BITMAP: usize = 104;
const BITMAP_LENGTH: usize = SYSTEM_CALL_PORT as usize / 8 + 2;
/// The task state segments of the processors but the first, and the distance from one to the next.
const OTHER_TSS: u64 = 0x500;
const TSS_STRIDE: usize = 0x90;
/// The bytes of ring-0 stack of each processor. An exception's frame takes 48; a second exception
/// in ring 0 ends the guest.
const STACK_SHARE: u64 = PAGE / MOST_PROCESSORS as u64;
const _: () = assert!(
    TSS_LENGTH <= TSS_STRIDE
        && OTHER_TSS + (TSS_STRIDE * (MOST_PROCESSORS as usize - 1)) as u64 <= PAGE
);
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

/// Gives a processor its task state segment, and with it a part of the ring-0 stack. The first has
/// its own from [`install`].
pub(crate) fn install_processor(memory: &AddressSpace, kind: KvmKind, processor: usize) {
    if processor > 0 {
        let at = TRAMPOLINE_FRAME + PAGE + task_offset(processor);
        memory.ram().write(at, &task_state(kind, processor));
    }
}

/// Where a processor's task state segment lies in the page of tables.
const fn task_offset(processor: usize) -> u64 {
    match processor {
        0 => TSS,
        _ => OTHER_TSS + ((processor - 1) * TSS_STRIDE) as u64,
    }
}

/// A processor's task state segment (Intel SDM vol. 3A, 8.7; vol. 1, 19.5.2).
fn task_state(kind: KvmKind, processor: usize) -> [u8; TSS_LENGTH] {
    let mut segment = [0; TSS_LENGTH];
    let mut put = |at: usize, bytes: &[u8]| segment[at..at + bytes.len()].copy_from_slice(bytes);
    let stack_end = RING0_STACK_END - processor as u64 * STACK_SHARE;
    // RSP0 lies at offset 4, the bitmap's offset at 102.
    put(4, &stack_end.to_le_bytes());
    put(102, &IO_BITMAP.to_le_bytes()[..2]);
    put(IO_BITMAP, &[0xff; BITMAP_LENGTH]);
    if kind == KvmKind::Software {
        let permitted = !(1_u8 << (SYSTEM_CALL_PORT % 8));
        put(IO_BITMAP + usize::from(SYSTEM_CALL_PORT / 8), &[permitted]);
    }
    segment
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
    put(TSS, &task_state(kind, 0));
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
        (TASK, 0x0000_8b00_0000_0000 | base | (TSS_LENGTH as u64 - 1)),
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

/// The task register of a processor. The processor never reads its descriptor, so all have one.
pub(crate) fn task(processor: usize) -> kvm_segment {
    kvm_segment {
        base: TABLES + task_offset(processor),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_a_stack_and_a_task_state_segment_of_its_own() {
        for kind in [KvmKind::Hardware, KvmKind::Software] {
            let mut last: Option<(u64, u64)> = None;
            for processor in 0..usize::from(MOST_PROCESSORS) {
                let task = task(processor);
                let segment = task_state(kind, processor);
                assert_eq!(segment.len(), task.limit as usize + 1);
                assert_eq!(segment.last(), Some(&0xff), "the end of the bitmap");
                let stack = u64::from_le_bytes(segment[4..12].try_into().unwrap());
                assert_eq!(stack % 16, 0);
                assert!(stack_frame(stack - 48, 48).is_some());
                if let Some((task_before, stack_before)) = last {
                    assert!(task.base > task_before + u64::from(task.limit));
                    assert_eq!(stack_before - stack, STACK_SHARE);
                }
                last = Some((task.base, stack));
            }
            let (task, stack) = last.unwrap();
            assert!(task + TSS_LENGTH as u64 <= TABLES + PAGE);
            assert!(stack - STACK_SHARE >= RING0_STACK_END - PAGE);
        }
    }
}
