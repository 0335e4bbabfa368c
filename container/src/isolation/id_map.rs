//! The user namespace's ids: who root of the container is on the host.

use std::io;
use std::path::PathBuf;

use nix::unistd::{Pid, getegid, geteuid};

use crate::sys::process::effective_capabilities;

/// First of the host ids that a privileged launcher maps to the container's: above any user's, by convention.
pub const HOST_BASE: u32 = 100_000;
/// How many ids it maps: all of 16 bits, as file systems in images use.
pub const COUNT: u32 = 65_536;
/// The id that stands for all that aren't mapped (`/proc/sys/kernel/overflowuid`, which nobody changes).
const OVERFLOW: u32 = 65_534;

/// Bits of `CAP_SETGID`, `CAP_SETUID` and `CAP_SYS_ADMIN` (linux/capability.h): what a range takes.
const PRIVILEGED: u64 = 1 << 6 | 1 << 7 | 1 << 21;

/// Whether this process can make namespaces other than a user namespace by itself, and map any ids into that.
pub fn is_privileged() -> bool {
    let capable = effective_capabilities().is_ok_and(|mask| mask & PRIVILEGED == PRIVILEGED);
    geteuid().is_root() && capable
}

/// Which host ids the container's ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMap {
    /// They are the same: there is no user namespace.
    Host,
    /// 0 and the 65535 after it are host ids from 100000 on: root inside is nobody outside.
    Range,
    /// 0 is the launcher's user, and there is no other. All that an ordinary user may map.
    Own {
        /// The launcher's user id.
        uid: u32,
        /// The launcher's group id.
        gid: u32,
    },
}

/// A map that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {path:?}")]
pub struct MapError {
    path: PathBuf,
    source: io::Error,
}

impl IdMap {
    /// The best map that this process may write, if there is a user namespace to write one for.
    pub fn choose(user_namespace: bool) -> Self {
        if !user_namespace {
            Self::Host
        } else if is_privileged() {
            Self::Range
        } else {
            Self::Own {
                uid: geteuid().as_raw(),
                gid: getegid().as_raw(),
            }
        }
    }

    /// Whether the container's root is another user than the launcher.
    pub fn changes_user(self) -> bool {
        self == Self::Range
    }

    /// Whether the container's root is the host's: then what the kernel lets user 0 write, capabilities or not, such
    /// as /proc/sys, must be out of its reach.
    pub fn is_host_root(self) -> bool {
        self.root().0 == 0
    }

    /// The host ids of the container's root: user, then group.
    pub fn root(self) -> (u32, u32) {
        match self {
            Self::Host => (geteuid().as_raw(), getegid().as_raw()),
            Self::Range => (HOST_BASE, HOST_BASE),
            Self::Own { uid, gid } => (uid, gid),
        }
    }

    /// The host's id of the container's id `id`, if it is mapped.
    pub fn on_host(self, id: u64) -> Option<u32> {
        let id = u32::try_from(id).ok()?;
        match self {
            Self::Host => Some(id),
            Self::Range => (id < COUNT).then_some(HOST_BASE + id),
            Self::Own { uid, .. } => (id == 0).then_some(uid),
        }
    }

    /// The container's ids of the host's user `uid` and group `gid`; for one that isn't mapped the id that the kernel shows.
    pub fn inside(self, uid: u32, gid: u32) -> (u32, u32) {
        let inside = |id: u32, own: u32| match self {
            Self::Host => id,
            Self::Range => id
                .checked_sub(HOST_BASE)
                .filter(|id| *id < COUNT)
                .unwrap_or(OVERFLOW),
            Self::Own { .. } if id == own => 0,
            Self::Own { .. } => OVERFLOW,
        };
        let own = self.root();
        (inside(uid, own.0), inside(gid, own.1))
    }

    /// Writes the map of the user namespace of `pid`.
    ///
    /// # Errors
    /// The kernel refused: these ids aren't ours to give, or user namespaces are restricted.
    pub fn write(self, pid: Pid) -> Result<(), MapError> {
        let count = match self {
            Self::Host => return Ok(()),
            Self::Range => COUNT,
            Self::Own { .. } => {
                // Giving up setgroups is what an ordinary user pays for a group map (user_namespaces(7)).
                write(pid, "setgroups", "deny")?;
                1
            }
        };
        let (uid, gid) = self.root();
        write(pid, "uid_map", &format!("0 {uid} {count}"))?;
        write(pid, "gid_map", &format!("0 {gid} {count}"))
    }
}

fn write(pid: Pid, file: &str, text: &str) -> Result<(), MapError> {
    let path = PathBuf::from(format!("/proc/{pid}/{file}"));
    std::fs::write(&path, text).map_err(|source| MapError { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_shifted_back_to_what_they_were() {
        for id in [0, 1, 65_535] {
            let host = IdMap::Range.on_host(id.into()).unwrap();
            assert_eq!(IdMap::Range.inside(host, host), (id, id));
        }
        let own = IdMap::Own { uid: 5, gid: 6 };
        assert_eq!(own.inside(5, 6), (0, 0));
        assert_eq!(own.inside(6, 5), (OVERFLOW, OVERFLOW));
        for foreign in [0, 99_999, HOST_BASE + COUNT] {
            assert_eq!(IdMap::Range.inside(foreign, foreign), (OVERFLOW, OVERFLOW));
        }
        assert_eq!(IdMap::Host.inside(5, 6), (5, 6));
    }
}
