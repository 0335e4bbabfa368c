//! Work that never leaves the processor. In every target it should take the same time. A target in
//! which it takes longer shares its processor with something.

use std::hint::black_box;

use super::Work;
use crate::run::WorkloadError;
use crate::run::cpu::step;

/// A chain of integer operations.
pub(super) struct Integer(u64);

impl Integer {
    /// The chain at its beginning.
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

/// A chain of floating-point operations whose values stay near one, so that no value is ever
/// denormal or infinite.
pub(super) struct Float(f64);

impl Float {
    /// The chain at its beginning.
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
