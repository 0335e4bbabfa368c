//! What the kernel reports about the memory of running instances, and about files on a disk.

pub mod disk_use;
pub mod pss;
