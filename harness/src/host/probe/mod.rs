//! Probes: the places that read what the kernel says of running instances, and of their files.

pub mod disk_use;
pub mod pss;
