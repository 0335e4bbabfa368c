//! The names of what a run puts on the host.

use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid};
use procfs::process::Process;
use sha2::{Digest as _, Sha256};

use super::SessionError;

const PREFIX: &str = "isobench-";

/// The number of the next name of this process.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A name that no other run has: `isobench-PID-STARTTIME-WORLD-NUMBER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionName {
    pid: i32,
    start_time: u64,
    world: World,
    number: u32,
}

/// The PID namespace and the boot of a kernel in which a process id means something, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct World(u32);

impl World {
    fn own() -> Result<Self, SessionError> {
        // Both are different in another container or virtual machine that shares a directory.
        let namespace = fs::read_link("/proc/self/ns/pid").map_err(procfs::ProcError::from)?;
        let boot = fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let hash = Sha256::new()
            .chain_update(namespace.as_os_str().as_encoded_bytes())
            .chain_update(boot)
            .finalize();
        let [a, b, c, d, ..]: [u8; 32] = hash.into();
        Ok(Self(u32::from_be_bytes([a, b, c, d])))
    }
}

impl SessionName {
    /// A new name of this process.
    ///
    /// # Errors
    /// /proc doesn't describe this process.
    pub fn new() -> Result<Self, SessionError> {
        Ok(Self {
            pid: getpid().as_raw(),
            start_time: Process::myself()?.stat()?.starttime,
            world: World::own()?,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Another name of the same process.
    #[must_use]
    pub fn next(&self) -> Self {
        Self {
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            ..self.clone()
        }
    }

    /// Parses a name as this module writes it. Any other name isn't isobench's.
    pub fn parse(name: &str) -> Option<Self> {
        let mut fields = name.strip_prefix(PREFIX)?.split('-');
        let parsed = Self {
            pid: fields.next()?.parse().ok()?,
            start_time: fields.next()?.parse().ok()?,
            world: World(u32::from_str_radix(fields.next()?, 16).ok()?),
            number: fields.next()?.parse().ok()?,
        };
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Whether the process ids of this name's process and of this process are of one PID namespace.
    pub fn is_of_this_world(&self) -> bool {
        World::own().is_ok_and(|own| own == self.world)
    }

    /// Whether the process of this name is known to have ended. Nothing is known of a process in
    /// another PID namespace. A later process with the same id isn't the process of this name.
    pub fn has_ended(&self) -> bool {
        if !self.is_of_this_world() {
            return false;
        }
        if kill(Pid::from_raw(self.pid), None) == Err(Errno::ESRCH) {
            return true;
        }
        // /proc may be that of another PID namespace, where the id means another process.
        let own = Process::myself().map(|process| process.pid);
        own.is_ok_and(|pid| pid == getpid().as_raw())
            && Process::new(self.pid)
                .and_then(|process| process.stat())
                .is_ok_and(|stat| stat.starttime != self.start_time || stat.state == 'Z')
    }
}

impl std::fmt::Display for SessionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            pid,
            start_time,
            world: World(world),
            number,
        } = self;
        write!(f, "{PREFIX}{pid}-{start_time}-{world:08x}-{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_names_are_parsed_and_foreign_names_are_not() {
        let own = SessionName::new().unwrap();
        assert_eq!(SessionName::parse(&own.to_string()), Some(own));
        for stranger in [
            "isobench",
            "isobench-",
            "isobench-12",
            "isobench-1-2",
            "isobench-x-1-0000000a-0",
            "isobench-1-2-0000000a-0x",
            "isobench-1-2-0000000a-0-0",
            "isobench-1-2-A-0",
            "other-1-2-0000000a-0",
        ] {
            assert_eq!(SessionName::parse(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn two_names_of_one_process_differ() {
        assert_ne!(SessionName::new().unwrap(), SessionName::new().unwrap());
    }

    #[test]
    fn only_of_a_process_of_the_same_pid_namespace_the_end_is_known() {
        let own = SessionName::new().unwrap();
        assert!(!own.has_ended());
        let later = SessionName {
            start_time: own.start_time + 1,
            ..own.clone()
        };
        assert!(later.has_ended());
        let gone = SessionName {
            pid: i32::MAX,
            ..own
        };
        assert!(gone.has_ended());
        let elsewhere = SessionName {
            world: World(gone.world.0 ^ 1),
            ..gone
        };
        assert!(!elsewhere.has_ended());
    }
}
