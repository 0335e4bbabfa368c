#!/usr/bin/env bash
# KVM_GET_XSAVE gives back only the extended state that the vCPU's CPUID names. KVM_SET_XSAVE takes all of the host's.
#
# A VMM that makes a vCPU and sets no CPUID (its guest needs none, or runs where CPUID is the host's own) can set the upper halves of
# the YMM registers: KVM_SET_XSAVE returns 0 and the guest has them. KVM_GET_XSAVE then answers without them: their bit in XSTATE_BV is
# clear and their bytes are zero. So a VMM that saves and restores a guest's threads, or takes a snapshot, loses vector registers and
# gets no error. One entry in the CPUID table, leaf 0xd with the bits in EAX, is enough. The API documentation of KVM_GET_XSAVE doesn't
# say that the answer depends on CPUID; the kernel masks by guest_supported_xcr0 (fpu_copy_guest_fpstate_to_uabi).
#
# Seen with Linux 6.18 (x86-64, AMD and software KVM), Python 3.11. Needs /dev/kvm and a processor with AVX.
#
# Output seen:
#   without CPUID: set 0x7, got 0x3, upper half of YMM0 00000000
#   with leaf 0xd: set 0x7, got 0x7, upper half of YMM0 5a5a5a5a
set -euo pipefail
[ -w /dev/kvm ] || { echo "this host has no /dev/kvm for this user" >&2; exit 1; }
grep -qw avx /proc/cpuinfo || { echo "this processor has no AVX" >&2; exit 1; }
seen=$(python3 - <<'PYTHON'
import fcntl, os, struct

CREATE_VM, CREATE_VCPU = 0xAE01, 0xAE41
SET_CPUID2, GET_XSAVE, SET_XSAVE = 0x4008AE90, 0x9000AEA4, 0x5000AEA5
# The XSAVE area (Intel SDM vol. 1, 13.4): XSTATE_BV at 512, the upper halves of YMM0 to YMM15 at 576.
XSTATE_BV, YMM_UPPER = 512, 576

kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)

def round_trip(leaf):
    vcpu = fcntl.ioctl(fcntl.ioctl(kvm, CREATE_VM, 0), CREATE_VCPU, 0)
    if leaf:
        # struct kvm_cpuid2 with one kvm_cpuid_entry2: function, index, flags (the index counts), eax, ebx, ecx, edx.
        fcntl.ioctl(vcpu, SET_CPUID2, struct.pack("II10I", 1, 0, 0xD, 0, 1, 7, 0, 0, 0, 0, 0, 0))
    area = bytearray(4096)
    fcntl.ioctl(vcpu, GET_XSAVE, area)
    struct.pack_into("<Q", area, XSTATE_BV, 7)
    area[YMM_UPPER:YMM_UPPER + 256] = b"\x5a" * 256
    fcntl.ioctl(vcpu, SET_XSAVE, area)
    back = bytearray(4096)
    fcntl.ioctl(vcpu, GET_XSAVE, back)
    return struct.unpack_from("<Q", back, XSTATE_BV)[0], back[YMM_UPPER:YMM_UPPER + 4].hex()

for name, leaf in [("without CPUID", False), ("with leaf 0xd", True)]:
    bits, upper = round_trip(leaf)
    print(f"{name}: set 0x7, got {bits:#x}, upper half of YMM0 {upper}")
PYTHON
)
echo "$seen"
[ "$seen" = "without CPUID: set 0x7, got 0x3, upper half of YMM0 00000000
with leaf 0xd: set 0x7, got 0x7, upper half of YMM0 5a5a5a5a" ] || { echo "that is not what was seen before" >&2; exit 1; }
