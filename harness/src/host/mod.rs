//! This machine: what it is, what a run puts on it, and how all of that goes away again.

pub mod accounting;
pub mod clock;
pub mod cpu_time;
pub mod facts;
pub mod interrupt;
pub mod mounts;
pub mod page_cache;
pub mod pin;
pub mod probe;
pub mod programs;
pub mod session;
pub mod tune;
