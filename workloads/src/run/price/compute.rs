//! Work that never leaves the processor: in every target it should take the same time, and one that takes more shares
//! its processor with something.

use std::hint::black_box;

use super::Work;
use crate::run::WorkloadError;
use crate::run::cpu::step;

/// A chain of integer operations.
pub(super) struct Integer(u64);

impl Integer {
    pub(super) const fn new() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Work for Integer {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        let mut state = black_box(self.0);
        for _ in 0..turns {
            state = step(state);
        }
        self.0 = black_box(state);
        Ok(())
    }
}

/// A chain of floating-point operations that stays near one, so that no value is ever denormal or infinite.
pub(super) struct Float(f64);

impl Float {
    pub(super) const fn new() -> Self {
        Self(0.5)
    }
}

impl Work for Float {
    fn run(&mut self, turns: u64) -> Result<(), WorkloadError> {
        let (factor, term) = black_box((0.75, 0.25));
        let mut state = black_box(self.0);
        for _ in 0..turns {
            state = state * factor + term;
        }
        self.0 = black_box(state);
        Ok(())
    }
}
