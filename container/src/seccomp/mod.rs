//! The system-call filter: [`policy`] compiled to BPF while this crate is compiled.
//!
//! The filter is a binary search over ranges of system-call numbers, about seven comparisons deep. The chain of one
//! comparison a call that filter libraries emit costs 0.6 to 0.9 ms to *install* for a list this long: the kernel runs
//! a new filter once for every system call there is, to learn which it always allows. The search tree costs a tenth.
//! The tests check it, call by call, against the filter that seccompiler compiles from the same policy.

mod policy;

use seccompiler::sock_filter;

use policy::{ALLOWED, SPECIAL, Verdict};

/// One above the highest system-call number that the policy may name.
const CALLS: usize = 512;
/// Room for the compiled program; the kernel's own limit is 4096.
const ROOM: usize = 400;

// Instructions (linux/bpf_common.h): the class, size and mode of each.
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

// What a filter returns (linux/seccomp.h).
const ALLOW: u32 = 0x7FFF_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL_PROCESS: u32 = 0x8000_0000;

/// `AUDIT_ARCH_X86_64` (linux/audit.h).
const ARCHITECTURE: u32 = 0xC000_003E;

// Offsets in `struct seccomp_data` (linux/seccomp.h).
const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

// Codes of the verdicts in the table from which the tree is built; from SPECIAL_BASE on, an index into `SPECIAL`.
const DENY: u8 = 0;
const PASS: u8 = 1;
const SPECIAL_BASE: u8 = 2;

/// The compiled filter: the first `length` of `code`.
struct Program {
    code: [sock_filter; ROOM],
    length: usize,
}

static PROGRAM: Program = compile();

/// Installs the filter on this thread and forbids new privileges for good.
///
/// # Errors
/// The kernel has no seccomp filters.
pub fn install() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(&PROGRAM.code[..PROGRAM.length])
}

impl Program {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "jumps stay inside ROOM; the assertion checks each"
    )]
    const fn push(&mut self, code: u16, jump_true: usize, jump_false: usize, k: u32) {
        assert!(jump_true < 256 && jump_false < 256);
        self.code[self.length] = sock_filter {
            code,
            jt: jump_true as u8,
            jf: jump_false as u8,
            k,
        };
        self.length += 1;
    }

    const fn ret(&mut self, value: u32) {
        self.push(RETURN, 0, 0, value);
    }

    /// Emits the verdict of one range.
    const fn leaf(&mut self, code: u8) {
        if code == DENY {
            return self.ret(ERRNO | libc::EPERM.unsigned_abs());
        }
        if code == PASS {
            return self.ret(ALLOW);
        }
        match SPECIAL[(code - SPECIAL_BASE) as usize].1 {
            Verdict::Unknown => self.ret(ERRNO | libc::ENOSYS.unsigned_abs()),
            Verdict::AllowIfClear { argument, mask } => {
                self.push(LOAD_WORD, 0, 0, OFFSET_ARGUMENTS + 8 * argument);
                self.push(JUMP_IF_ANY_BIT, 0, 1, mask);
                self.ret(ERRNO | libc::EPERM.unsigned_abs());
                self.ret(ALLOW);
            }
            Verdict::AllowUnless { argument, values } => {
                self.push(LOAD_WORD, 0, 0, OFFSET_ARGUMENTS + 8 * argument);
                self.push(JUMP_IF_EQUAL, 1, 0, values[0]);
                self.push(JUMP_IF_EQUAL, 0, 1, values[1]);
                self.ret(ERRNO | libc::EPERM.unsigned_abs());
                self.ret(ALLOW);
            }
        }
    }

    /// Emits a binary search over the ranges `from..to`, balanced by how many calls each holds: that is what the
    /// kernel's own run over all calls costs at installation.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a range starts below CALLS"
    )]
    const fn search(&mut self, ranges: &Ranges, from: usize, to: usize) {
        if to - from == 1 {
            return self.leaf(ranges.verdict[from]);
        }
        let middle = ranges.middle(from, to);
        let branch = self.length;
        self.push(JUMP_IF_AT_LEAST, 0, 0, ranges.start[middle] as u32);
        self.search(ranges, from, middle);
        let distance = self.length - branch - 1;
        assert!(distance < 256);
        self.code[branch].jt = distance as u8;
        self.search(ranges, middle, to);
    }
}

/// The policy as ranges of system-call numbers: range `i` runs from `start[i]` to just below `start[i + 1]`.
struct Ranges {
    start: [usize; CALLS],
    verdict: [u8; CALLS],
    count: usize,
}

impl Ranges {
    /// Where to split `from..to` so that the calls on both sides are as equal in number as can be.
    const fn middle(&self, from: usize, to: usize) -> usize {
        let (first, end) = (
            self.start[from],
            if to < self.count {
                self.start[to]
            } else {
                CALLS
            },
        );
        let target = first.midpoint(end);
        let mut middle = from + 1;
        while middle + 1 < to
            && self.start[middle + 1].abs_diff(target) < self.start[middle].abs_diff(target)
        {
            middle += 1;
        }
        middle
    }
}

const fn compile() -> Program {
    let mut program = Program {
        code: [const {
            sock_filter {
                code: 0,
                jt: 0,
                jf: 0,
                k: 0,
            }
        }; ROOM],
        length: 0,
    };
    program.push(LOAD_WORD, 0, 0, OFFSET_ARCHITECTURE);
    program.push(JUMP_IF_EQUAL, 1, 0, ARCHITECTURE);
    program.ret(KILL_PROCESS);
    program.push(LOAD_WORD, 0, 0, OFFSET_NUMBER);
    let ranges = ranges();
    program.search(&ranges, 0, ranges.count);
    program
}

/// Joins neighbours of one verdict. The last range has no end, so it takes in the x32 calls; it must be denied.
const fn ranges() -> Ranges {
    let table = table();
    assert!(table[CALLS - 1] == DENY);
    let mut ranges = Ranges {
        start: [0; CALLS],
        verdict: [DENY; CALLS],
        count: 0,
    };
    let mut number = 0;
    while number < CALLS {
        if number == 0 || table[number] != table[number - 1] {
            ranges.start[ranges.count] = number;
            ranges.verdict[ranges.count] = table[number];
            ranges.count += 1;
        }
        number += 1;
    }
    ranges
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "call numbers are small and positive"
)]
const fn table() -> [u8; CALLS] {
    let mut table = [DENY; CALLS];
    let mut index = 0;
    while index < ALLOWED.len() {
        table[ALLOWED[index] as usize] = PASS;
        index += 1;
    }
    index = 0;
    while index < SPECIAL.len() {
        table[SPECIAL[index].0 as usize] = SPECIAL_BASE + index as u8;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests;
