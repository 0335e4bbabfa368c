//! The processor's features, as a word for word comparison needs them.

use core::arch::x86_64::__cpuid_count;

/// `CPUID`'s words of features: leaf 1 (ECX, EDX), leaf 7 (EBX, ECX, EDX), and the extended state that
/// leaf 0xd allows (EAX). A program that has looked at them once takes them for granted.
pub(crate) fn of_host() -> [u32; 6] {
    let basic = __cpuid_count(1, 0);
    let more = __cpuid_count(7, 0);
    let state = __cpuid_count(0xd, 0);
    [
        basic.ecx, basic.edx, more.ebx, more.ecx, more.edx, state.eax,
    ]
}
