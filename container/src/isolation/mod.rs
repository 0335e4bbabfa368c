//! The kernel's mechanisms that isolate a container, one a file.

pub mod capabilities;
pub mod id_map;
pub mod masks;
pub mod namespaces;
pub mod root;
pub mod seccomp;
