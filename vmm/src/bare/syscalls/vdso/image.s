# The guest's vDSO: an ELF shared object of one page. The clock page follows it.
#
# A C library finds the vDSO by AT_SYSINFO_EHDR, and calls __vdso_clock_gettime and not the kernel.
# The clock page holds the numbers to compute the time from the processor's time-stamp counter, and
# the VMM fills the page when the code asks for it. The code is position independent: every address
# is relative to the image's start.
#
# The image has all that programs look for in Linux's vDSO (vdso(7)). Go reads the versions without a
# look whether there are any, and dietlibc finds names and code by the section headers alone.
#
# Intel syntax. The formats: ELF-64 (System V gABI, chapters 4 and 5), symbol versions (Linux Standard
# Base Core 5.0, chapter 10.7), the GNU hash table (as GNU ld writes it). The calling convention is
# System V x86-64's.

.pushsection .rodata.isobench_vdso, "a", @progbits
.balign 64
.globl isobench_vdso_start
.globl isobench_vdso_end

.set CLOCK_PAGE, isobench_vdso_start + 4096
# Fields of the clock page (see `ClockPage`).
.set STATE, 0
.set GENERATION, 4
.set ANCHOR, 8
.set VALID_TICKS, 16
.set MULTIPLIER, 24
.set REALTIME, 32
.set HAS_PROCESSORS, 48

# The indices of the sections to which others refer.
.set DYNSYM, 3
.set DYNSTR, 4
.set TEXT, 8
.set SHSTRTAB, 9
.set SECTIONS, 10

# The indices of the versions.
.set BASE_VERSION, 1
.set LINUX_2_6, 2
.set VERSIONS, 2

# An entry of the dynamic table with an address.
.macro vdso_dynamic_address tag, place
    .quad \tag, \place - isobench_vdso_start
.endm

# The symbol of a function: global, and in the section of code.
.macro vdso_symbol name
    .long .Lname_\name - .Lstrings
    .byte 0x12, 0                                   # STB_GLOBAL, STT_FUNC; STV_DEFAULT
    .short TEXT
    .quad .L\name - isobench_vdso_start, .L\name\()_end - .L\name
.endm

# A definition of a version (Elf64_Verdef) with its only name (Elf64_Verdaux). `next` is the distance
# to the next definition.
.macro vdso_version flags, index, hash, next, name
    .short 1, \flags, \index, 1                     # VER_DEF_CURRENT; one name
    .long \hash, 20, \next
    .long \name - .Lstrings, 0
.endm

# The header of a section that is in memory (SHF_ALLOC).
.macro vdso_section name, type, flags, start, end, link, info, align, entry
    .long .Lsection_\name - .Lsection_names, \type
    .quad \flags | 2
    .quad \start - isobench_vdso_start, \start - isobench_vdso_start, \end - \start
    .long \link, \info
    .quad \align, \entry
.endm

isobench_vdso_start:
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0
    .short 3, 62                                    # ET_DYN, EM_X86_64
    .long 1
    .quad 0                                         # no entry
    .quad .Lprogram_headers - isobench_vdso_start
    .quad .Lsection_headers - isobench_vdso_start
    .long 0
    .short 64, 56, 2, 64, SECTIONS, SHSTRTAB
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
    vdso_dynamic_address 4, .Lhash                  # DT_HASH
    vdso_dynamic_address 0x6ffffef5, .Lgnu_hash     # DT_GNU_HASH
    vdso_dynamic_address 5, .Lstrings               # DT_STRTAB
    vdso_dynamic_address 6, .Lsymbols               # DT_SYMTAB
    .quad 10, .Lstrings_end - .Lstrings             # DT_STRSZ
    .quad 11, 24                                    # DT_SYMENT
    .quad 14, .Lsoname - .Lstrings                  # DT_SONAME
    vdso_dynamic_address 0x6ffffff0, .Lsymbol_versions # DT_VERSYM
    vdso_dynamic_address 0x6ffffffc, .Lversions     # DT_VERDEF
    .quad 0x6ffffffd, VERSIONS                      # DT_VERDEFNUM
    .quad 0, 0
.Ldynamic_end:
.Lsymbols:
    .quad 0, 0, 0
    vdso_symbol clock_gettime
    vdso_symbol gettimeofday
    vdso_symbol time
    vdso_symbol getcpu
    vdso_symbol clock_getres
.Lsymbols_end:
.Lhash:
    .long 1, 6                                      # one bucket, six symbols
    .long 1                                         # the bucket starts at symbol 1
    .long 0, 2, 3, 4, 5, 0                          # the symbol that follows each
.Lhash_end:
.balign 8
.Lgnu_hash:
    .long 1, 1, 1, 6                                # one bucket, from symbol 1 on; one Bloom word
    .quad -1                                        # every name may be there
    .long 1                                         # the bucket starts at symbol 1
    # The names' hashes. The lowest bit marks the last symbol of the bucket.
    .long 0x6e43a318, 0xb01bca00, 0x821e8e0c, 0x6562b026, 0x68308f53
.Lgnu_hash_end:
.Lsymbol_versions:
    .short 0, LINUX_2_6, LINUX_2_6, LINUX_2_6, LINUX_2_6, LINUX_2_6
.Lsymbol_versions_end:
.balign 4
.Lversions:
    vdso_version 1, BASE_VERSION, 0xdeebfa1, 28, .Lsoname # VER_FLG_BASE: the name of the file
    vdso_version 0, LINUX_2_6, 0x3ae75f6, 0, .Lname_version
.Lversions_end:
.Lstrings:
    .byte 0
.Lsoname:             .asciz "linux-vdso.so.1"
.Lname_version:       .asciz "LINUX_2.6"
.Lname_clock_gettime: .asciz "__vdso_clock_gettime"
.Lname_gettimeofday:  .asciz "__vdso_gettimeofday"
.Lname_time:          .asciz "__vdso_time"
.Lname_getcpu:        .asciz "__vdso_getcpu"
.Lname_clock_getres:  .asciz "__vdso_clock_getres"
.Lstrings_end:

.balign 16
.Ltext:
# In: edi is CLOCK_REALTIME (0) or CLOCK_MONOTONIC (1). Out: seconds in rax, nanoseconds in rdx, and
# the carry clear; or the carry set if only the VMM knows the time. Keeps rdi and rsi.
.Lread_clock:
    lea r8, [rip + CLOCK_PAGE]
    cmp dword ptr [r8 + STATE], 2                   # never valid on this host
    je .Lunknown
    xor r9d, r9d                                    # the page has not been asked for yet
.Lcompute:
    mov r11d, [r8 + GENERATION]
    test r11d, 1                                    # the VMM is filling the page
    jnz .Lcompute
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
    cmp r11d, [r8 + GENERATION]                     # the page has been filled anew meanwhile
    jne .Lcompute
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

.balign 16
.Ltime:
    push rdi
    xor edi, edi                                    # CLOCK_REALTIME
    call .Lread_clock
    pop rdi
    jc .Ltime_call
    test rdi, rdi
    jz .Ltime_return
    mov [rdi], rax
.Ltime_return:
    ret
.Ltime_call:
    mov eax, 201
    syscall
    ret
.Ltime_end:

# The only processor is number 0 of node 0. Of several, the VMM alone knows which one this is.
.balign 16
.Lgetcpu:
    cmp dword ptr [rip + CLOCK_PAGE + HAS_PROCESSORS], 0
    jne .Lgetcpu_call
    xor eax, eax
    test rdi, rdi
    jz .Lgetcpu_node
    mov [rdi], eax
.Lgetcpu_node:
    test rsi, rsi
    jz .Lgetcpu_return
    mov [rsi], eax
.Lgetcpu_return:
    ret
.Lgetcpu_call:
    mov eax, 309
    syscall
    ret
.Lgetcpu_end:

# The host alone knows the resolution of its clocks.
.balign 16
.Lclock_getres:
    mov eax, 229
    syscall
    ret
.Lclock_getres_end:
.Ltext_end:

.Lsection_names:
    .byte 0
.Lsection_hash:        .asciz ".hash"
.Lsection_gnu_hash:    .asciz ".gnu.hash"
.Lsection_dynsym:      .asciz ".dynsym"
.Lsection_dynstr:      .asciz ".dynstr"
.Lsection_version:     .asciz ".gnu.version"
.Lsection_version_d:   .asciz ".gnu.version_d"
.Lsection_dynamic:     .asciz ".dynamic"
.Lsection_text:        .asciz ".text"
.Lsection_shstrtab:    .asciz ".shstrtab"
.Lsection_names_end:

# dietlibc takes the first string table that is in memory for the symbols' names. So `.shstrtab` is
# not marked as in memory, though it is.
.balign 8
.Lsection_headers:
    .zero 64
    vdso_section hash, 5, 0, .Lhash, .Lhash_end, DYNSYM, 0, 4, 4
    vdso_section gnu_hash, 0x6ffffff6, 0, .Lgnu_hash, .Lgnu_hash_end, DYNSYM, 0, 8, 0
    vdso_section dynsym, 11, 0, .Lsymbols, .Lsymbols_end, DYNSTR, 1, 8, 24
    vdso_section dynstr, 3, 0, .Lstrings, .Lstrings_end, 0, 0, 1, 0
    vdso_section version, 0x6fffffff, 0, .Lsymbol_versions, .Lsymbol_versions_end, DYNSYM, 0, 2, 2
    vdso_section version_d, 0x6ffffffd, 0, .Lversions, .Lversions_end, DYNSTR, VERSIONS, 4, 0
    vdso_section dynamic, 6, 0, .Ldynamic, .Ldynamic_end, DYNSTR, 0, 8, 16
    vdso_section text, 1, 4, .Ltext, .Ltext_end, 0, 0, 16, 0
    .long .Lsection_shstrtab - .Lsection_names, 3
    .quad 0, 0, .Lsection_names - isobench_vdso_start, .Lsection_names_end - .Lsection_names
    .long 0, 0
    .quad 1, 0
isobench_vdso_end:

.purgem vdso_dynamic_address
.purgem vdso_symbol
.purgem vdso_version
.purgem vdso_section
.popsection
