//! `--trace`.
use super::{Outcome, SystemCall};
use crate::bare::address_space::AddressSpace;

pub(super) struct Line {}

impl Line {
    pub fn new(_call: &SystemCall, _memory: &AddressSpace) -> Self {
        Self {}
    }
    pub fn write(self, _call: &SystemCall, _outcome: Outcome) {}
}
