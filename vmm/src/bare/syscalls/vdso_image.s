# The guest's vDSO: an ELF shared object of one page. The clock page follows it.
#
# A C library finds the vDSO by AT_SYSINFO_EHDR, and calls __vdso_clock_gettime and not the kernel.
# The clock page holds the numbers to compute the time from the processor's time-stamp counter, and
# the VMM fills the page when the code asks for it. The code is position independent: every address
# is relative to the image's start.
#
# Intel syntax. The format is ELF-64 (System V gABI, chapters 4 and 5); the calling convention is System V x86-64's.

.pushsection .rodata.isobench_vdso, "a", @progbits
.balign 64
.globl isobench_vdso_start
.globl isobench_vdso_end

.set CLOCK_PAGE, isobench_vdso_start + 4096
# Fields of the clock page (see `ClockPage`).
.set STATE, 0
.set ANCHOR, 8
.set VALID_TICKS, 16
.set MULTIPLIER, 24
.set REALTIME, 32

isobench_vdso_start:
.Lelf_header:
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
    .short 3, 62                                    # ET_DYN, EM_X86_64
    .long 1
    .quad 0                                         # no entry
    .quad .Lprogram_headers - isobench_vdso_start
    .quad 0                                         # no sections
    .long 0
    .short 64, 56, 2, 64, 0, 0
.Lprogram_headers:
    .long 1, 5                                      # PT_LOAD, R+X
    .quad 0, 0, 0
    .quad isobench_vdso_end - isobench_vdso_start
    .quad isobench_vdso_end - isobench_vdso_start
    .quad 4096
    .long 2, 4                                      # PT_DYNAMIC, R
    .quad .Ldynamic - isobench_vdso_start
    .quad .Ldynamic - isobench_vdso_start
    .quad .Ldynamic - isobench_vdso_start
    .quad .Ldynamic_end - .Ldynamic
    .quad .Ldynamic_end - .Ldynamic
    .quad 8
.Ldynamic:
    .quad 4, .Lhash - isobench_vdso_start             # DT_HASH
    .quad 5, .Lstrings - isobench_vdso_start          # DT_STRTAB
    .quad 6, .Lsymbols - isobench_vdso_start          # DT_SYMTAB
    .quad 10, .Lstrings_end - .Lstrings                 # DT_STRSZ
    .quad 11, 24                                    # DT_SYMENT
    .quad 14, .Lsoname - .Lstrings                      # DT_SONAME
    .quad 0, 0
.Ldynamic_end:
.Lsymbols:
    .quad 0, 0, 0
    .long .Lname_clock_gettime - .Lstrings
    .byte 0x12, 0                                   # STB_GLOBAL, STT_FUNC
    .short 1                                        # defined
    .quad .Lclock_gettime - isobench_vdso_start, .Lclock_gettime_end - .Lclock_gettime
    .long .Lname_gettimeofday - .Lstrings
    .byte 0x12, 0
    .short 1
    .quad .Lgettimeofday - isobench_vdso_start, .Lgettimeofday_end - .Lgettimeofday
.Lhash:
    .long 1, 3                                      # one bucket, three symbols
    .long 1                                         # the bucket starts at symbol 1,
    .long 0, 2, 0                                   # which 2 follows
.Lstrings:
    .byte 0
.Lsoname:             .asciz "linux-vdso.so.1"
.Lname_clock_gettime: .asciz "__vdso_clock_gettime"
.Lname_gettimeofday:  .asciz "__vdso_gettimeofday"
.Lstrings_end:

# In: edi is CLOCK_REALTIME (0) or CLOCK_MONOTONIC (1). Out: seconds in rax, nanoseconds in rdx, and
# the carry clear; or the carry set if only the VMM knows the time. Keeps rdi and rsi.
.balign 16
.Lread_clock:
    lea r8, [rip + CLOCK_PAGE]
    cmp dword ptr [r8 + STATE], 2                   # never valid on this host
    je .Lunknown
    xor r9d, r9d                                    # the page has not been asked for yet
.Lcompute:
    lfence
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r10, rax
    sub rax, [r8 + ANCHOR]
    cmp rax, [r8 + VALID_TICKS]
    jae .Lask
    mul qword ptr [r8 + MULTIPLIER]                 # 2^-32 nanoseconds
    shrd rax, rdx, 32
    mov ecx, edi
    add rax, [r8 + REALTIME + 8 * rcx]
    xor edx, edx
    mov ecx, 1000000000
    div rcx                                         # leaves the flags undefined
    clc
    ret
.Lask:
    test r9d, r9d
    jnz .Lunknown
    push rdi
    push rsi
    mov rdi, r8
    mov rsi, r10
    mov eax, 0x69736f62                             # REFRESH
    syscall
    pop rsi
    pop rdi
    mov r9d, 1
    test rax, rax
    jz .Lcompute
.Lunknown:
    stc
    ret

.balign 16
.Lclock_gettime:
    cmp edi, 1
    ja .Lclock_gettime_call
    call .Lread_clock
    jc .Lclock_gettime_call
    mov [rsi], rax
    mov [rsi + 8], rdx
    xor eax, eax
    ret
.Lclock_gettime_call:
    mov eax, 228
    syscall
    ret
.Lclock_gettime_end:

.balign 16
.Lgettimeofday:
    test rsi, rsi                                   # the VMM serves time zones
    jnz .Lgettimeofday_call
    test rdi, rdi
    jz .Lgettimeofday_call
    push rdi
    xor edi, edi
    call .Lread_clock
    pop rdi
    jc .Lgettimeofday_unknown
    mov [rdi], rax
    mov rax, rdx
    xor edx, edx
    mov ecx, 1000
    div rcx
    mov [rdi + 8], rax
    xor eax, eax
    ret
.Lgettimeofday_unknown:
    xor esi, esi
.Lgettimeofday_call:
    mov eax, 96
    syscall
    ret
.Lgettimeofday_end:
isobench_vdso_end:
.popsection
