//! Guests of a few bytes of machine code with two threads, or with a signal handler.

use super::Ending;
use super::guest_tests::{expect_exit, map_and_touch, try_run_on};

/// Starts a thread that writes a number, waits by a futex for the thread's end, and exits with the
/// number.
#[rustfmt::skip]
const WAIT: [u8; 104] = [
    0xc7, 0x04, 0x25, 0, 0, 0, 0x20, 1, 0, 0, 0, // movl $1, (PAGE_AT)
    0xb8, 0x38, 0, 0, 0,                         // mov $SYS_clone, %eax
    0xbf, 0, 0x0f, 0x25, 0,                      // mov $0x250f00, %edi: a thread, with CHILD_CLEARTID
    0xbe, 0, 0x20, 0, 0x20,                      // mov $(PAGE_AT + 0x2000), %esi: its stack
    0x31, 0xd2,                                  // xor %edx, %edx
    0x41, 0xba, 0, 0, 0, 0x20,                   // mov $PAGE_AT, %r10d
    0x0f, 0x05,                                  // syscall
    0x85, 0xc0,                                  // test %eax, %eax
    0x74, 0x2c,                                  // jz child
    0x8b, 0x14, 0x25, 0, 0, 0, 0x20,             // wait: mov (PAGE_AT), %edx
    0x85, 0xd2,                                  // test %edx, %edx
    0x74, 0x13,                                  // jz done
    0xb8, 0xca, 0, 0, 0,                         // mov $SYS_futex, %eax
    0xbf, 0, 0, 0, 0x20,                         // mov $PAGE_AT, %edi
    0x31, 0xf6,                                  // xor %esi, %esi
    0x45, 0x31, 0xd2,                            // xor %r10d, %r10d
    0x0f, 0x05,                                  // syscall
    0xeb, 0xe2,                                  // jmp wait
    0x8b, 0x3c, 0x25, 8, 0, 0, 0x20,             // done: mov (PAGE_AT + 8), %edi
    0xb8, 0xe7, 0, 0, 0,                         // mov $SYS_exit_group, %eax
    0x0f, 0x05,                                  // syscall
    0xc7, 0x04, 0x25, 8, 0, 0, 0x20, 7, 0, 0, 0, // child: movl $7, (PAGE_AT + 8)
    0x31, 0xff,                                  // xor %edi, %edi
    0xb8, 0x3c, 0, 0, 0,                         // mov $SYS_exit, %eax
    0x0f, 0x05,                                  // syscall
];

/// Starts a thread, and looks at a number without a pause until the thread has written it. The
/// thread spoils a vector register of its own. The exit code is 9 if the first thread's is unharmed.
#[rustfmt::skip]
const SPIN: [u8; 78] = [
    0xb8, 0x38, 0, 0, 0,                         // mov $SYS_clone, %eax
    0xbf, 0, 0x0f, 0x05, 0,                      // mov $0x50f00, %edi: a thread
    0xbe, 0, 0x20, 0, 0x20,                      // mov $(PAGE_AT + 0x2000), %esi: its stack
    0x31, 0xd2,                                  // xor %edx, %edx
    0x0f, 0x05,                                  // syscall
    0x85, 0xc0,                                  // test %eax, %eax
    0x74, 0x22,                                  // jz child
    0x66, 0x48, 0x0f, 0x6e, 0xdc,                // movq %rsp, %xmm3
    0x83, 0x3c, 0x25, 8, 0, 0, 0x20, 0,          // spin: cmpl $0, (PAGE_AT + 8)
    0x74, 0xf6,                                  // je spin
    0x66, 0x48, 0x0f, 0x7e, 0xdf,                // movq %xmm3, %rdi
    0x48, 0x29, 0xe7,                            // sub %rsp, %rdi
    0x48, 0x83, 0xc7, 9,                         // add $9, %rdi
    0xb8, 0xe7, 0, 0, 0,                         // mov $SYS_exit_group, %eax
    0x0f, 0x05,                                  // syscall
    0x0f, 0x57, 0xdb,                            // child: xorps %xmm3, %xmm3
    0xc7, 0x04, 0x25, 8, 0, 0, 0x20, 7, 0, 0, 0, // movl $7, (PAGE_AT + 8)
    0xb8, 0x22, 0, 0, 0,                         // mov $SYS_pause, %eax
    0x0f, 0x05,                                  // syscall
];

/// Installs a handler of SIGILL and runs an illegal instruction. The handler skips the instruction
/// and changes RDI, which is the exit code.
#[rustfmt::skip]
const HANDLE: [u8; 81] = [
    0x48, 0x8d, 0x05, 0x32, 0, 0, 0,             // lea handler(%rip), %rax
    0x6a, 0,                                     // push $0: the mask
    0x48, 0x8d, 0x1d, 0x3a, 0, 0, 0,             // lea restorer(%rip), %rbx
    0x53,                                        // push %rbx
    0x68, 4, 0, 0, 4,                            // push $(SA_RESTORER | SA_SIGINFO)
    0x50,                                        // push %rax
    0xb8, 0x0d, 0, 0, 0,                         // mov $SYS_rt_sigaction, %eax
    0xbf, 4, 0, 0, 0,                            // mov $SIGILL, %edi
    0x48, 0x89, 0xe6,                            // mov %rsp, %rsi
    0x31, 0xd2,                                  // xor %edx, %edx
    0x41, 0xba, 8, 0, 0, 0,                      // mov $8, %r10d
    0x0f, 0x05,                                  // syscall
    0x31, 0xff,                                  // xor %edi, %edi
    0x0f, 0x0b,                                  // ud2
    0xb8, 0x3c, 0, 0, 0,                         // mov $SYS_exit, %eax
    0x0f, 0x05,                                  // syscall
    0x48, 0x83, 0x82, 0xa8, 0, 0, 0, 2,          // handler: addq $2, 168(%rdx): RIP
    0x48, 0xc7, 0x42, 0x68, 0x2a, 0, 0, 0,       // movq $42, 104(%rdx): RDI
    0xc3,                                        // ret
    0xb8, 0x0f, 0, 0, 0,                         // restorer: mov $SYS_rt_sigreturn, %eax
    0x0f, 0x05,                                  // syscall
];

/// Starts a thread that unmaps the page, and reads the page without a pause meanwhile. In the end
/// the read must fault.
#[rustfmt::skip]
const UNMAP: [u8; 56] = [
    0xb8, 0x38, 0, 0, 0,                         // mov $SYS_clone, %eax
    0xbf, 0, 0x0f, 0x05, 0,                      // mov $0x50f00, %edi: a thread
    0xbe, 0, 0x20, 0, 0x20,                      // mov $(PAGE_AT + 0x2000), %esi: its stack
    0x31, 0xd2,                                  // xor %edx, %edx
    0x0f, 0x05,                                  // syscall
    0x85, 0xc0,                                  // test %eax, %eax
    0x74, 0x09,                                  // jz child
    0x8a, 0x04, 0x25, 0, 0, 0, 0x20,             // read: mov (PAGE_AT), %al
    0xeb, 0xf7,                                  // jmp read
    0xb8, 0x0b, 0, 0, 0,                         // child: mov $SYS_munmap, %eax
    0xbf, 0, 0, 0, 0x20,                         // mov $PAGE_AT, %edi
    0xbe, 0, 0x10, 0, 0,                         // mov $0x1000, %esi
    0x0f, 0x05,                                  // syscall
    0xb8, 0x22, 0, 0, 0,                         // mov $SYS_pause, %eax
    0x0f, 0x05,                                  // syscall
];

/// Runs `code` with one vCPU and with several. It must exit with `status`.
#[track_caller]
fn expect_exit_of_threads(code: &[u8], status: u8) {
    for vcpus in [1, 2, 4] {
        if let Some(result) = try_run_on(vcpus, code) {
            assert_eq!(result.unwrap(), Ending::Exited(status), "{vcpus} vCPUs");
        }
    }
}

#[test]
fn a_thread_waits_for_another_one_s_end() {
    expect_exit_of_threads(&[&map_and_touch()[..], &WAIT].concat(), 7);
}

#[test]
fn a_thread_that_only_computes_lets_another_one_run() {
    expect_exit_of_threads(&[&map_and_touch()[..], &SPIN].concat(), 9);
}

#[test]
fn a_page_that_another_thread_unmaps_faults() {
    for vcpus in [1, 2, 4] {
        let code = [&map_and_touch()[..], &UNMAP].concat();
        let Some(result) = try_run_on(vcpus, &code) else {
            return;
        };
        let Ending::Died(death) = result.unwrap() else {
            panic!("the guest survived with {vcpus} vCPUs");
        };
        assert_eq!(death.address, Some(0x2000_0000), "{death}");
    }
}

#[test]
fn a_handler_changes_where_and_with_what_the_program_goes_on() {
    expect_exit(&HANDLE, 42);
}
