//! Reading tar archives, in bounded memory.

pub mod fault;
mod fields;
pub mod members;
pub mod pax;
mod sparse;
