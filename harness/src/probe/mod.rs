//! Probes: the places that read what the kernel says of running instances.

pub mod pss;
