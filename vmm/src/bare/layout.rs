//! Every address and port of the bare guest, and the source of each.
//!
//! All of a small program (its segments, heap, mappings and stack, and the trampoline) lies in the
//! last gigabyte of the user half, so that one page directory serves it. Each page table that is
//! saved is a page less to fault in on the host, and a page less to shadow. Linux, too, puts the
//! stack and mappings there (System V ABI for x86-64, 3.3.2).

use std::ops::Range;

use crate::memory::PAGE;

/// One past the last address of the user half (Linux `TASK_SIZE_MAX`: one guard page below 2^47).
pub const USER_HALF_END: u64 = 0x7fff_ffff_f000;

/// The trampoline's pages, above everything that a program may map.
pub const TRAMPOLINE: u64 = 0x7fff_ffff_0000;

/// One past the last address that a program may map.
pub const USER_END: u64 = TRAMPOLINE;

/// The lowest address that a program may map (Linux `vm.mmap_min_addr`), so that null pointers
/// fault.
pub const USER_START: u64 = 0x1_0000;

/// The end of the stack. The guard page between the stack and the trampoline is never mapped.
pub const STACK_END: u64 = TRAMPOLINE - PAGE;

/// The largest stack, in bytes: Linux's default limit.
pub const MOST_STACK: u64 = 8 << 20;

/// The end of the mappings for which the program names no address; they grow downwards. It lies
/// below the largest stack and a guard of 1 MiB.
pub const MAPPINGS_END: u64 = STACK_END - (9 << 20) - 0xf_f000;

/// The place of the mappings below 2 GiB (`MAP_32BIT`) for which the program names no free address;
/// they grow upwards (Linux `find_start_end` in `arch/x86/kernel/sys_x86_64.c`).
pub const LOW_MAPPINGS: Range<u64> = 0x4000_0000..0x8000_0000;

/// The address of a position-independent program: the bottom of the last gigabyte. Its heap
/// follows.
pub const PROGRAM: u64 = 0x7fff_c000_0000;

/// The guest physical address of a page that is never mapped and never written: what a system call
/// reads where the program has not written yet.
pub const ZERO_FRAME: u64 = 0;

/// The guest physical address of the trampoline's first page.
pub const TRAMPOLINE_FRAME: u64 = PAGE;

/// The pages of the trampoline: the system-call stub, the ring-0 code with its tables, and the
/// ring-0 stack.
pub const TRAMPOLINE_PAGES: u64 = 3;

/// The first guest physical address that the frame allocator owns.
pub const FIRST_FREE_FRAME: u64 = TRAMPOLINE_FRAME + TRAMPOLINE_PAGES * PAGE;

/// The port to which a system call is written. No device is behind any port, so the VMM is free to
/// choose the numbers.
pub const SYSTEM_CALL_PORT: u8 = 0xbf;

/// The port to which exception 0 is written. The ports of the other 31 exceptions follow.
pub const EXCEPTION_PORTS: u8 = 0xc0;
