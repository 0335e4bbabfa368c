//! The owner of the pipes that are a program's standard streams.

use std::os::fd::AsFd;
use std::os::unix::fs::fchown;

use nix::libc::{S_IFIFO, S_IFMT};
use nix::sys::stat::fstat;

use super::Descriptors;
use crate::instance::command_line::HostUser;

/// Gives the pipes among the standard streams to `user`. Only their owner may open them again, as
/// `/dev/stdout` or `/dev/stderr`, and programs write their logs there. runc and crun do the same.
/// Files and terminals keep their owners.
pub(super) fn give(streams: &Descriptors, user: &HostUser) {
    for stream in [&streams.stdin, &streams.stdout, &streams.stderr] {
        if is_pipe(stream) {
            // Only root may do this. The pipes of another user's program are that user's already.
            let _ = fchown(stream, Some(user.uid), Some(user.gid));
        }
    }
}

fn is_pipe(stream: &impl AsFd) -> bool {
    fstat(stream).is_ok_and(|found| found.st_mode & S_IFMT == S_IFIFO)
}
