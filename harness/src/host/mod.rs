//! This machine: its properties, what a run puts on it, and how a run removes all of that again.

pub mod accounting;
pub mod clock;
pub mod cpu_time;
pub mod descriptors;
pub mod facts;
pub mod interrupt;
pub mod mounts;
pub mod net_namespace;
pub mod page_cache;
pub mod pin;
pub mod probe;
pub mod programs;
pub mod session;
pub mod signals;
pub mod tune;
pub mod umask;
