//! What traced processes did, beside how many system calls there were.

use std::collections::BTreeMap;

use nix::libc::{self, c_int};
use syscalls::Sysno;

use super::{BYTES_READ, BYTES_SENT, BYTES_WRITTEN, CALL, PROCESSES, THREADS};
use crate::instance::marks::MarkWriter;

/// What the traced processes did, from the first exec on.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    /// By number of a system call: how often the call was made.
    calls: BTreeMap<u64, u64>,
    processes: u64,
    threads: u64,
    read: u64,
    written: u64,
    sent: u64,
}

impl Deeds {
    pub fn add_call(&mut self, number: u64, result: i64) {
        *self.calls.entry(number).or_default() += 1;
        let Ok(bytes) = u64::try_from(result) else {
            return;
        };
        let call = usize::try_from(number).ok().and_then(Sysno::new);
        match call {
            Some(
                Sysno::read
                | Sysno::pread64
                | Sysno::readv
                | Sysno::preadv
                | Sysno::preadv2
                | Sysno::recvfrom
                | Sysno::recvmsg,
            ) => self.read += bytes,
            Some(
                Sysno::write
                | Sysno::pwrite64
                | Sysno::writev
                | Sysno::pwritev
                | Sysno::pwritev2
                | Sysno::sendfile
                | Sysno::copy_file_range
                | Sysno::splice,
            ) => self.written += bytes,
            Some(Sysno::sendto | Sysno::sendmsg) => self.sent += bytes,
            _ => {}
        }
    }

    /// Takes note of a stop of ptrace(2) at an event.
    pub fn add_event(&mut self, event: c_int) {
        match event {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => self.processes += 1,
            // A clone with another signal at its end than SIGCHLD: a thread, but for rarities.
            libc::PTRACE_EVENT_CLONE => self.threads += 1,
            _ => {}
        }
    }

    pub fn write(&self, marks: &MarkWriter) {
        for (number, count) in &self.calls {
            let call = usize::try_from(*number).ok().and_then(Sysno::new);
            if let Some(call) = call {
                let name = call.name().replace('_', "-");
                marks.count(&format!("{CALL}{name}"), *count);
            }
        }
        for (name, number) in [
            (PROCESSES, self.processes),
            (THREADS, self.threads),
            (BYTES_READ, self.read),
            (BYTES_WRITTEN, self.written),
            (BYTES_SENT, self.sent),
        ] {
            marks.count(name, number);
        }
    }
}
