//! Every guest address and port, and where each comes from.
//!
//! The whole of a small program (its segments, heap, mappings, stack, and the trampoline) lies in the last
//! gigabyte of the user half, so that one page directory serves it: every page table saved is a page less to
//! fault in on the host and to shadow. Linux, too, puts the stack and mappings there (x86-64 ABI, 3.3.2).

use crate::memory::PAGE;

/// One past the last address of the user half (Linux `TASK_SIZE_MAX`: one guard page below 2^47).
pub const USER_HALF_END: u64 = 0x7fff_ffff_f000;

/// The trampoline's pages, above everything a program may map.
pub const TRAMPOLINE: u64 = 0x7fff_ffff_0000;

/// One past the last address that a program may map.
pub const USER_END: u64 = TRAMPOLINE;

/// The lowest address that a program may map (Linux `vm.mmap_min_addr`): null pointers fault.
pub const USER_START: u64 = 0x1_0000;

/// Where the stack ends: the guard page between it and the trampoline is never mapped.
pub const STACK_END: u64 = TRAMPOLINE - PAGE;

/// Where mappings without a wish go, downwards: below the largest stack and a guard of 1 MiB.
pub const MAPPINGS_END: u64 = STACK_END - (9 << 20) - 0xf_f000;

/// Where a position-independent program is loaded: the bottom of the last gigabyte. Its heap follows.
pub const PROGRAM: u64 = 0x7fff_c000_0000;

/// Guest physical address of the trampoline's first page. Page 0 stays unused.
pub const TRAMPOLINE_FRAME: u64 = PAGE;

/// Pages of the trampoline: the system-call stub, the ring-0 code with its tables, the ring-0 stack.
pub const TRAMPOLINE_PAGES: u64 = 3;

/// The first guest physical address that the frame allocator owns.
pub const FIRST_FREE_FRAME: u64 = TRAMPOLINE_FRAME + TRAMPOLINE_PAGES * PAGE;

/// The port that a system call is written to. No device is behind any port, so the numbers are free to choose.
pub const SYSTEM_CALL_PORT: u8 = 0xbf;

/// The port that exception 0 is written to; those of the other 31 follow.
pub const EXCEPTION_PORTS: u8 = 0xc0;
