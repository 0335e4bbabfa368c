//! The name of a process or thread (`PR_SET_NAME`).

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The bytes of a name, with a NUL (`TASK_COMM_LEN`).
pub(super) const NAME: usize = 16;

/// The name that a process gets from its program: the first bytes of the file's name.
pub(super) fn name_of(program: &Path) -> [u8; NAME] {
    padded(program.file_name().unwrap_or_default().as_bytes())
}

/// The first bytes of a name, with NULs after them.
pub(super) fn padded(name: &[u8]) -> [u8; NAME] {
    let mut padded = [0; NAME];
    let length = name.len().min(NAME - 1);
    padded[..length].copy_from_slice(&name[..length]);
    padded
}
