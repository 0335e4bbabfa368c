//! Programs that call the vsyscall page, and that make 32-bit system calls.

use super::Ending;
use super::exception::Signal;
use super::guest_tests::{expect_exit, try_run};

const GETTIMEOFDAY: u64 = 0xffff_ffff_ff60_0000;
const TIME: u64 = GETTIMEOFDAY + 0x400;
const GETCPU: u64 = GETTIMEOFDAY + 0x800;

/// The address of a guest's first instruction.
const CODE: u64 = 0x40_0078;

/// `mov $target, %rax`
fn load(target: u64) -> Vec<u8> {
    [&[0x48, 0xb8][..], &target.to_le_bytes()].concat()
}

/// `mov $first, %edi; mov $target, %rax; call *%rax`
fn call(target: u64, first: u32) -> Vec<u8> {
    [
        &[0xbf][..],
        &first.to_le_bytes(),
        &load(target),
        &[0xff, 0xd0],
    ]
    .concat()
}

/// `mov %eax, %edi; mov $60, %eax; syscall`
const EXIT_WITH_EAX: [u8; 9] = [0x89, 0xc7, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];

/// Runs `code`, which must die of `SIGSEGV` at `rip` for a reason that has `cause` in it.
#[track_caller]
fn expect_death(code: &[u8], rip: u64, cause: &str) {
    if let Some(result) = try_run(code) {
        let Ending::Died(death) = result.unwrap() else {
            panic!("the guest survived");
        };
        assert_eq!(
            (death.signal, death.rip),
            (Signal::Segmentation, rip),
            "{death}"
        );
        assert!(death.cause.contains(cause), "{death}");
    }
}

#[test]
fn the_vsyscall_page_tells_time_and_processor() {
    // shr $30, %rax: a count of seconds since 1970 is between 2^30 and 2^31 until 2038.
    let shift = [0x48, 0xc1, 0xe8, 30];
    let code = [&call(TIME, 0)[..], &shift, &EXIT_WITH_EAX].concat();
    expect_exit(&code, 1);
    // push %rdx, whose place then takes the seconds: mov %rsp, %rdi; call; pop %rax
    let code = [
        &[0x52, 0x52, 0x48, 0x89, 0xe7, 0x31, 0xf6][..],
        &load(GETTIMEOFDAY),
        &[0xff, 0xd0, 0x58],
        &shift,
        &EXIT_WITH_EAX,
    ]
    .concat();
    expect_exit(&code, 1);
    let code = [&call(GETCPU, 0)[..], &EXIT_WITH_EAX].concat();
    expect_exit(&code, 0);
}

#[test]
fn a_bad_call_of_the_vsyscall_page_is_a_fault() {
    expect_death(&call(TIME, 8), TIME, "unmapped");
    let between = TIME + 1;
    expect_death(&call(between, 0), between, "unmapped");
    let after = GETCPU + 0x400;
    expect_death(&call(after, 0), after, "unmapped");
    // mov $1 << 63, %rcx; push %rcx: the call would return to no address.
    let return_address = [0x48, 0xb9, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x51];
    let code = [
        &return_address[..],
        &[0x31, 0xff],
        &load(TIME),
        &[0xff, 0xe0],
    ]
    .concat();
    expect_death(&code, TIME, "unmapped");
    // xor %esp, %esp: nor does it return without a stack.
    let code = [&[0x31, 0xff][..], &load(TIME), &[0x31, 0xe4, 0xff, 0xe0]].concat();
    expect_death(&code, TIME, "unmapped");
}

#[test]
fn the_vsyscall_page_can_only_be_called() {
    // mov (%rax), %al
    let code = [&load(TIME)[..], &[0x8a, 0x00]].concat();
    expect_death(&code, CODE + 10, "reading");
}

#[test]
fn a_32_bit_system_call_is_named() {
    expect_death(&[0xcd, 0x80], CODE, "32-bit system call");
    // Another interrupt is none.
    if let Some(result) = try_run(&[0xcd, 0x81]) {
        let ending = format!("{:?}", result.unwrap());
        assert!(!ending.contains("32-bit"), "{ending}");
    }
}
