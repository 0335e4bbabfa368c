//! The system-call filter: [`policy`], compiled to BPF while this crate is compiled.
//!
//! The filter is a binary search over ranges of system-call numbers, about seven comparisons deep.
//! Filter libraries emit a chain instead, with one comparison a call. For a list this long such a
//! chain costs 0.6 to 0.9 ms to *install*: the kernel runs a new filter once for every system call
//! there is, to learn which calls the filter always allows. The search tree costs a tenth of that.
//! The tests compare the tree, call by call, with the filter that seccompiler makes of the same
//! policy.

mod compile;
pub mod policy;

use compile::{Program, compile};

static PROGRAM: Program = compile();

/// Installs the filter on this thread, and forbids new privileges for good.
///
/// # Errors
/// The kernel has no seccomp filters.
pub fn install() -> Result<(), seccompiler::Error> {
    seccompiler::apply_filter(PROGRAM.instructions())
}

/// The filter as an array of `struct sock_filter` (linux/filter.h), for runtimes that install a
/// compiled filter.
pub fn compiled() -> Vec<u8> {
    let instructions = PROGRAM.instructions().iter();
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

#[cfg(test)]
mod tests;
