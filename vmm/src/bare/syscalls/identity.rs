//! What the guest tells a program of itself: the numbers of its processes, and its kernel's name.

use nix::libc::c_int;

/// The number of the program's only process and thread. It isn't 1, since Linux protects process 1
/// from its own signals.
pub(super) const PROCESS_ID: c_int = 2;
/// The number of the process that started the program.
pub(super) const PARENT_ID: u64 = 1;
/// The kernel's release, as `uname` and `/proc` tell it.
pub(super) const RELEASE: &str = "6.1.0";
/// The kernel's version, as `uname` and `/proc` tell it.
pub(super) const VERSION: &str = "isobench bare guest";
