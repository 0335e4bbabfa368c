//! The kernel's mechanisms that isolate a container, one a file, and the step at which setting one
//! up can fail.

pub mod capabilities;
pub mod id_map;
pub mod namespaces;
pub mod root;
pub mod seccomp;
pub mod step;
