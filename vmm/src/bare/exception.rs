//! Exceptions of the program, and the signal that Linux would send for each.

use std::fmt;

use super::address_space::{Access, AddressSpace};
use super::trampoline;

/// A signal that ends a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// `SIGILL`.
    Illegal,
    /// `SIGTRAP`.
    Trap,
    /// `SIGBUS`.
    Bus,
    /// `SIGFPE`.
    Arithmetic,
    /// `SIGSEGV`.
    Segmentation,
}

impl Signal {
    /// The signal's number (signal(7), x86-64).
    pub const fn number(self) -> u8 {
        match self {
            Self::Illegal => 4,
            Self::Trap => 5,
            Self::Bus => 7,
            Self::Arithmetic => 8,
            Self::Segmentation => 11,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Illegal => "SIGILL",
            Self::Trap => "SIGTRAP",
            Self::Bus => "SIGBUS",
            Self::Arithmetic => "SIGFPE",
            Self::Segmentation => "SIGSEGV",
        }
    }
}

/// How an exception ended a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The signal that Linux would have sent.
    pub signal: Signal,
    /// The address of the instruction.
    pub rip: u64,
    /// For a page fault, the address that the instruction accessed.
    pub address: Option<u64>,
    /// The reason in a few words.
    pub cause: &'static str,
}

impl Death {
    /// The death of a program that used a port.
    pub(crate) const fn port_access(rip: u64) -> Self {
        Self {
            signal: Signal::Segmentation,
            rip,
            address: None,
            cause: "port access",
        }
    }

    /// The death of a program that made a system call of 32 bits. Linux sends `SIGSEGV` where it
    /// serves none (`ia32_emulation=off`).
    pub(crate) const fn call_of_32_bits(rip: u64) -> Self {
        Self {
            signal: Signal::Segmentation,
            rip,
            address: None,
            cause: "a 32-bit system call, int 0x80, which the bare guest does not serve",
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "program stopped by {} at rip={:#x}",
            self.signal.name(),
            self.rip
        )?;
        if let Some(address) = self.address {
            write!(formatter, " address={address:#x}")?;
        }
        write!(formatter, " ({})", self.cause)
    }
}

/// The number of the page fault.
pub const PAGE_FAULT: u8 = 14;

/// An exception's frame, as the processor pushes it onto the ring-0 stack (Intel SDM vol. 3A,
/// 6.14.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// The error code. It is 0 for a vector that has none.
    pub error_code: u64,
    /// The address of the instruction: for a trap, of the one after.
    pub rip: u64,
    /// The code segment's selector.
    pub cs: u64,
    /// The flags.
    pub rflags: u64,
    /// The stack pointer.
    pub rsp: u64,
    /// The stack segment's selector.
    pub ss: u64,
}

impl Frame {
    /// Reads the frame of `vector` from the ring-0 stack. The frame holds zeros if `rsp` lies
    /// outside of the stack.
    pub(crate) fn read(memory: &AddressSpace, rsp: u64, vector: u8) -> Self {
        // These vectors push an error code (Intel SDM vol. 3A, table 6-1).
        let has_code = matches!(vector, 8 | 10..=14 | 17 | 21 | 29 | 30);
        let code_words = u64::from(has_code);
        let words = code_words + 5;
        let Some(at) = trampoline::stack_frame(rsp, words * 8) else {
            return Self::default();
        };
        let word = |index: u64| {
            let mut bytes = [0; 8];
            memory.ram().read(at + index * 8, &mut bytes);
            u64::from_le_bytes(bytes)
        };
        Self {
            error_code: if has_code { word(0) } else { 0 },
            rip: word(code_words),
            cs: word(code_words + 1),
            rflags: word(code_words + 2),
            rsp: word(code_words + 3),
            ss: word(code_words + 4),
        }
    }

    /// The access that raised a page fault (Intel SDM vol. 3A, 4.7).
    pub const fn access(&self) -> Access {
        match (self.error_code & 2 != 0, self.error_code & 16 != 0) {
            (_, true) => Access::Execute,
            (true, false) => Access::Write,
            (false, false) => Access::Read,
        }
    }

    /// Whether a page fault was raised since the page was not present.
    pub const fn misses_page(&self) -> bool {
        self.error_code & 1 == 0
    }

    /// Whether a page fault was raised for want of a page or of a permission, and for nothing else
    /// (a reserved bit, a protection key).
    pub const fn is_about_access(&self) -> bool {
        self.error_code & !0x17 == 0
    }

    /// Whether the exception interrupted ring 3.
    pub const fn is_from_ring3(&self) -> bool {
        self.cs & 3 == 3
    }
}

/// How the exception `vector` ends the program. `is_mapped` says whether something is mapped at
/// `fault_address`.
pub(crate) fn death(vector: u8, frame: Frame, fault_address: u64, is_mapped: bool) -> Death {
    let (signal, cause) = match vector {
        0 => (Signal::Arithmetic, "division by zero or overflow"),
        1 => (Signal::Trap, "single step or hardware breakpoint"),
        3 => (Signal::Trap, "breakpoint"),
        4 => (Signal::Segmentation, "overflow trap"),
        5 => (Signal::Segmentation, "bound range exceeded"),
        6 => (Signal::Illegal, "illegal instruction"),
        7 => (
            Signal::Illegal,
            "floating-point or extended state not available",
        ),
        11 | 12 => (
            Signal::Bus,
            "segment not present, or stack address not canonical",
        ),
        13 => (
            Signal::Segmentation,
            "general protection: privileged instruction or address not canonical",
        ),
        PAGE_FAULT => (Signal::Segmentation, page_fault(frame.access(), is_mapped)),
        16 => (Signal::Arithmetic, "x87 floating-point error"),
        17 => (Signal::Bus, "misaligned access"),
        19 => (Signal::Arithmetic, "SIMD floating-point error"),
        _ => (Signal::Segmentation, "processor exception"),
    };
    Death {
        signal,
        rip: frame.rip,
        address: (vector == PAGE_FAULT).then_some(fault_address),
        cause,
    }
}

/// What was wrong with an access. A page that the program may not access at all is not present in
/// the page tables, but is mapped all the same.
const fn page_fault(access: Access, is_mapped: bool) -> &'static str {
    match (is_mapped, access) {
        (false, Access::Execute) => "running code in an unmapped page",
        (true, Access::Execute) => "running code in a page without execute permission",
        (false, Access::Write) => "writing to an unmapped page",
        (true, Access::Write) => "writing to a page without write permission",
        (false, Access::Read) => "reading from an unmapped page",
        (true, Access::Read) => "reading from a page without read permission",
    }
}
