//! What a boot loader and a firmware would do for a kernel: load the kernel, describe the machine,
//! and set the processors up.

pub(super) mod boot_params;
pub(super) mod command_line;
pub mod kernel;
pub(super) mod mp_table;
pub(super) mod processor;
