//! The compiler of the filter, which runs while this crate is compiled.

use seccompiler::sock_filter;

use super::policy::{ALLOWED, ArgumentRule, CONDITIONAL, NEWEST, UNKNOWN_CALLS};

/// One above the highest system-call number that the policy may name.
const CALLS: usize = 512;
/// The most instructions that the compiled program may have. The kernel's own limit is 4096.
const ROOM: usize = 400;

// Instructions (linux/bpf_common.h): the class, size and mode of each.
pub(super) const LOAD_WORD: u16 = 0x20;
pub(super) const JUMP_IF_EQUAL: u16 = 0x15;
pub(super) const JUMP_IF_AT_LEAST: u16 = 0x35;
pub(super) const JUMP_IF_ANY_BIT: u16 = 0x45;
pub(super) const RETURN: u16 = 0x06;

// What a filter returns (linux/seccomp.h).
const ALLOW: u32 = 0x7FFF_0000;
pub(super) const ERRNO: u32 = 0x0005_0000;
pub(super) const KILL_PROCESS: u32 = 0x8000_0000;

/// `AUDIT_ARCH_X86_64` (linux/audit.h).
pub(super) const ARCHITECTURE: u32 = 0xC000_003E;

// Offsets in `struct seccomp_data` (linux/seccomp.h).
pub(super) const OFFSET_NUMBER: u32 = 0;
pub(super) const OFFSET_ARCHITECTURE: u32 = 4;
pub(super) const OFFSET_ARGUMENTS: u32 = 16;

// What the filter does with a call, as a code in the table from which the tree is built. The first
// three codes are returned at the program's end, to which any comparison can jump. A code from
// FIRST_CONDITIONAL on is an index into `CONDITIONAL`.
const DENY: u8 = 0;
const PASS: u8 = 1;
const UNKNOWN: u8 = 2;
const FIRST_CONDITIONAL: u8 = 3;
const RETURNS: [u32; FIRST_CONDITIONAL as usize] = [
    ERRNO | libc::EPERM.unsigned_abs(),
    ALLOW,
    ERRNO | libc::ENOSYS.unsigned_abs(),
];

/// In place of a code: the jump goes to another comparison, and is filled in already.
const JUMPS: u8 = u8::MAX;

/// The compiled filter.
pub(super) struct Program {
    /// The instructions, of which the first `length` count.
    code: [sock_filter; ROOM],
    /// The code in [`RETURNS`] to which each of an instruction's two jumps leads, or [`JUMPS`].
    exits: [[u8; 2]; ROOM],
    /// How many instructions there are.
    length: usize,
}

/// The operand of a jump over `distance` instructions.
#[expect(clippy::cast_possible_truncation, reason = "asserted")]
const fn jump(distance: usize) -> u8 {
    assert!(distance < 256);
    distance as u8
}

impl Program {
    /// The instructions, as the kernel takes them.
    pub(super) fn instructions(&self) -> &[sock_filter] {
        &self.code[..self.length]
    }

    const fn push(&mut self, code: u16, k: u32) {
        self.code[self.length].code = code;
        self.code[self.length].k = k;
        self.length += 1;
    }

    /// Emits a comparison whose two jumps go to returns. A jump with the code [`JUMPS`] goes to the
    /// next instruction.
    const fn compare(&mut self, code: u16, k: u32, exits: [u8; 2]) {
        self.exits[self.length] = exits;
        self.push(code, k);
    }

    /// Emits the check of an argument by `rule`.
    const fn check_argument(&mut self, rule: ArgumentRule) {
        match rule {
            ArgumentRule::IfClear { argument, mask } => {
                self.push(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument);
                self.compare(JUMP_IF_ANY_BIT, mask, [DENY, PASS]);
            }
            ArgumentRule::IfClearOr {
                argument,
                mask,
                value,
            } => {
                self.push(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument);
                self.compare(JUMP_IF_EQUAL, value, [PASS, JUMPS]);
                self.compare(JUMP_IF_ANY_BIT, mask, [DENY, PASS]);
            }
            ArgumentRule::Unless { argument, values } => {
                self.push(LOAD_WORD, OFFSET_ARGUMENTS + 8 * argument);
                self.compare(JUMP_IF_EQUAL, values[0], [DENY, JUMPS]);
                self.compare(JUMP_IF_EQUAL, values[1], [DENY, PASS]);
            }
        }
    }

    /// Emits a binary search over the ranges `from..to`. The search is balanced by the number of
    /// calls on each side, because the kernel runs the filter once for each call when the filter
    /// is installed.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a range starts below CALLS"
    )]
    const fn search(&mut self, ranges: &Ranges, from: usize, to: usize) {
        if to - from == 1 {
            let index = (ranges.code[from] - FIRST_CONDITIONAL) as usize;
            return self.check_argument(CONDITIONAL[index].1);
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

    /// Emits the returns, and makes the jumps lead to them.
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

/// The policy as ranges of system-call numbers.
struct Ranges {
    /// The first number of each range. Range `i` ends just below `start[i + 1]`.
    start: [usize; CALLS],
    /// What the filter does with the calls of each range.
    code: [u8; CALLS],
    /// How many ranges there are.
    count: usize,
}

impl Ranges {
    /// The code of the return that decides the ranges `from..to`, or [`JUMPS`] if more than a
    /// return is needed.
    const fn exit(&self, from: usize, to: usize) -> u8 {
        if to - from == 1 && self.code[from] < FIRST_CONDITIONAL {
            self.code[from]
        } else {
            JUMPS
        }
    }

    /// Where to split the ranges `from..to` so that both sides have about as many calls.
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

/// Compiles the policy.
pub(super) const fn compile() -> Program {
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

/// Joins neighbouring calls of the same code to ranges. The last range has no end, so the x32 calls
/// are in it, and no call in it is known.
const fn ranges() -> Ranges {
    let table = table();
    assert!(table[CALLS - 1] == UNKNOWN);
    let mut ranges = Ranges {
        start: [0; CALLS],
        code: [DENY; CALLS],
        count: 0,
    };
    let mut number = 0;
    while number < CALLS {
        if number == 0 || table[number] != table[number - 1] {
            ranges.start[ranges.count] = number;
            ranges.code[ranges.count] = table[number];
            ranges.count += 1;
        }
        number += 1;
    }
    ranges
}

/// The code of each call, by the call's number.
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
    while index < CONDITIONAL.len() {
        table[CONDITIONAL[index].0 as usize] = FIRST_CONDITIONAL + index as u8;
        index += 1;
    }
    index = 0;
    while index < UNKNOWN_CALLS.len() {
        table[UNKNOWN_CALLS[index] as usize] = UNKNOWN;
        index += 1;
    }
    table
}
