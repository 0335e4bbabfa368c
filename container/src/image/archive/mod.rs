//! Reading tar archives, in bounded memory.

pub mod members;
pub mod pax;
