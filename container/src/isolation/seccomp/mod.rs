//! The system-call filter: [`policy`] compiled to BPF while this crate is compiled.
//!
//! The filter is a binary search over ranges of system-call numbers, about seven comparisons deep. The chain of one
//! comparison a call that filter libraries emit costs 0.6 to 0.9 ms to *install* for a list this long: the kernel runs
//! a new filter once for every system call there is, to learn which it always allows. The search tree costs a tenth.
//! The tests check it, call by call, against the filter that seccompiler compiles from the same policy.

pub mod policy;

use seccompiler::sock_filter;

use policy::{ALLOWED, NEWEST, SPECIAL, UNKNOWN_CALLS, Verdict};

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
// The first three are returned at the program's end, where any comparison can jump to.
const DENY: u8 = 0;
const PASS: u8 = 1;
const UNKNOWN: u8 = 2;
const SPECIAL_BASE: u8 = 3;
const RETURNS: [u32; SPECIAL_BASE as usize] = [
    ERRNO | libc::EPERM.unsigned_abs(),
    ALLOW,
    ERRNO | libc::ENOSYS.unsigned_abs(),
];

/// No code: a jump that is already made.
const JUMPS: u8 = u8::MAX;

/// The compiled filter: the first `length` of `code`.
struct Program {
    code: [sock_filter; ROOM],
    /// Where each instruction's two jumps go, if to one of [`RETURNS`].
    exits: [[u8; 2]; ROOM],
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

/// The filter as the kernel takes it, an array of `struct sock_filter` (linux/filter.h): for runtimes that install a
/// compiled filter.
pub fn compiled() -> Vec<u8> {
    let instructions = PROGRAM.code[..PROGRAM.length].iter();
    instructions
        .flat_map(|instruction| {
            let [code_low, code_high] = instruction.code.to_ne_bytes();
            let [a, b, c, d] = instruction.k.to_ne_bytes();
            [
                code_low,
                code_high,
                instruction.jt,
                instruction.jf,
                a,
                b,
                c,
                d,
            ]
        })
        .collect()
}

/// A jump over `distance` instructions.
#[expect(clippy::cast_possible_truncation, reason = "asserted")]
const fn jump(distance: usize) -> u8 {
    assert!(distance < 256);
    distance as u8
}

impl Program {
    const fn push(&mut self, code: u16, k: u32) {
        self.code[self.length].code = code;
        self.code[self.length].k = k;
        self.length += 1;
    }

    /// Emits a comparison whose jumps go to returns, or to the next instruction for [`JUMPS`].
    const fn compare(&mut self, code: u16, k: u32, exits: [u8; 2]) {
        self.exits[self.length] = exits;
        self.push(code, k);
    }

    /// Emits the look at an argument that a special call's verdict hangs on.
    const fn special(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::IfClear { argument, mask } => {
                self.push(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument);
                self.compare(JUMP_IF_ANY_BIT, mask, [DENY, PASS]);
            }
            Verdict::IfClearOr {
                argument,
                mask,
                value,
            } => {
                self.push(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument);
                self.compare(JUMP_IF_EQUAL, value, [PASS, JUMPS]);
                self.compare(JUMP_IF_ANY_BIT, mask, [DENY, PASS]);
            }
            Verdict::Unless { argument, values } => {
                self.push(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument);
                self.compare(JUMP_IF_EQUAL, values[0], [DENY, JUMPS]);
                self.compare(JUMP_IF_EQUAL, values[1], [DENY, PASS]);
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
            return self.special(SPECIAL[(ranges.verdict[from] - SPECIAL_BASE) as usize].1);
        }
        let middle = ranges.middle(from, to);
        let (below, above) = (ranges.exit(from, middle), ranges.exit(middle, to));
        let branch = self.length;
        self.compare(
            JUMP_IF_AT_LEAST,
            ranges.start[middle] as u32,
            [above, below],
        );
        if below == JUMPS {
            self.search(ranges, from, middle);
        }
        if above == JUMPS {
            self.code[branch].jt = jump(self.length - branch - 1);
            self.search(ranges, middle, to);
        }
    }

    /// Emits the returns, and leads the jumps to them.
    const fn finish(&mut self) {
        let end = self.length;
        let mut index = 0;
        while index < end {
            let [taken, not_taken] = self.exits[index];
            if taken != JUMPS {
                self.code[index].jt = jump(end + taken as usize - index - 1);
            }
            if not_taken != JUMPS {
                self.code[index].jf = jump(end + not_taken as usize - index - 1);
            }
            index += 1;
        }
        let mut code = 0;
        while code < RETURNS.len() {
            self.push(RETURN, RETURNS[code]);
            code += 1;
        }
    }
}

/// The policy as ranges of system-call numbers: range `i` runs from `start[i]` to just below `start[i + 1]`.
struct Ranges {
    start: [usize; CALLS],
    verdict: [u8; CALLS],
    count: usize,
}

impl Ranges {
    /// The return that decides `from..to`, or [`JUMPS`] if it takes more than that.
    const fn exit(&self, from: usize, to: usize) -> u8 {
        if to - from == 1 && self.verdict[from] < SPECIAL_BASE {
            self.verdict[from]
        } else {
            JUMPS
        }
    }

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
        exits: [[JUMPS; 2]; ROOM],
        length: 0,
    };
    program.push(LOAD_WORD, OFFSET_ARCHITECTURE);
    program.push(JUMP_IF_EQUAL, ARCHITECTURE);
    program.code[1].jt = 1;
    program.push(RETURN, KILL_PROCESS);
    program.push(LOAD_WORD, OFFSET_NUMBER);
    let ranges = ranges();
    program.search(&ranges, 0, ranges.count);
    program.finish();
    program
}

/// Joins neighbours of one verdict. The last range has no end, so it takes in the x32 calls; no call of it is known.
const fn ranges() -> Ranges {
    let table = table();
    assert!(table[CALLS - 1] == UNKNOWN);
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
    let mut index = NEWEST as usize + 1;
    while index < CALLS {
        table[index] = UNKNOWN;
        index += 1;
    }
    index = 0;
    while index < ALLOWED.len() {
        table[ALLOWED[index] as usize] = PASS;
        index += 1;
    }
    index = 0;
    while index < SPECIAL.len() {
        table[SPECIAL[index].0 as usize] = SPECIAL_BASE + index as u8;
        index += 1;
    }
    index = 0;
    while index < UNKNOWN_CALLS.len() {
        table[UNKNOWN_CALLS[index] as usize] = UNKNOWN;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests;
