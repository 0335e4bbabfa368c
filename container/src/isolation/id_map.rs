//! The ids of a user namespace: who the users of the container are on the host.

use std::io;
use std::path::PathBuf;

use nix::unistd::{Pid, getegid, geteuid};

use crate::privilege::Privilege;

/// The first of the host ids that a launcher with root's privilege maps to the container's ids. By
/// convention no user of a host has an id this high.
pub const FIRST_HOST_ID: u32 = 100_000;
/// How many ids such a launcher maps: all ids of 16 bits, as file systems in images use them.
pub const ID_COUNT: u32 = 65_536;
/// The id that the kernel shows for every id that is not mapped. `/proc/sys/kernel/overflowuid`
/// could change the id, and nobody does.
pub const OVERFLOW: u32 = 65_534;

/// Which host ids the container's ids are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdMap {
    /// Each id is the same inside and on the host: there is no user namespace.
    Host,
    /// Id 0 is the host's id 100000, and the 65535 ids after 0 follow: root inside is nobody
    /// outside.
    Range,
    /// Id 0 is the launcher's user, and there is no other id. An ordinary user can map no more.
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
    /// The map with the most ids that a launcher with `privilege` may write for a user namespace.
    pub fn of_user_namespace(privilege: Privilege) -> Self {
        match privilege {
            Privilege::Root => Self::Range,
            Privilege::Ordinary => Self::Own {
                uid: geteuid().as_raw(),
                gid: getegid().as_raw(),
            },
        }
    }

    /// Whether the container's root is another user than the launcher.
    pub fn changes_user(self) -> bool {
        self == Self::Range
    }

    /// Whether the container's root is the host's. The kernel lets the host's user 0 write some
    /// files, such as those of /proc/sys, without any capability: such a root must not reach them.
    pub fn is_host_root(self) -> bool {
        self.root().0 == 0
    }

    /// The host ids of the container's root: first the user, then the group.
    pub fn root(self) -> (u32, u32) {
        match self {
            Self::Host => (geteuid().as_raw(), getegid().as_raw()),
            Self::Range => (FIRST_HOST_ID, FIRST_HOST_ID),
            Self::Own { uid, gid } => (uid, gid),
        }
    }

    /// The host's id of the container's id `id`, if `id` is mapped.
    pub fn on_host(self, id: u64) -> Option<u32> {
        let id = u32::try_from(id).ok()?;
        match self {
            Self::Host => Some(id),
            Self::Range => (id < ID_COUNT).then_some(FIRST_HOST_ID + id),
            Self::Own { uid, .. } => (id == 0).then_some(uid),
        }
    }

    /// The container's ids of the host's user `uid` and group `gid`. For an id that is not mapped,
    /// the result is the id that the kernel shows.
    pub fn inside(self, uid: u32, gid: u32) -> (u32, u32) {
        let inside = |id: u32, own: u32| match self {
            Self::Host => id,
            Self::Range => id
                .checked_sub(FIRST_HOST_ID)
                .filter(|id| *id < ID_COUNT)
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
    /// The kernel refuses: the launcher may not map these ids, or user namespaces are restricted.
    pub fn write(self, pid: Pid) -> Result<(), MapError> {
        let count = match self {
            Self::Host => return Ok(()),
            Self::Range => ID_COUNT,
            Self::Own { .. } => {
                // An ordinary user may map a group only after giving up setgroups
                // (user_namespaces(7)).
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

    const OWN: IdMap = IdMap::Own { uid: 5, gid: 6 };

    #[test]
    fn an_id_on_the_host_leads_back_to_the_id_inside() {
        for id in [0, 1, 65_535] {
            let host = IdMap::Range.on_host(id.into()).unwrap();
            assert_eq!(IdMap::Range.inside(host, host), (id, id));
        }
        assert_eq!(OWN.inside(5, 6), (0, 0));
        assert_eq!(IdMap::Host.inside(5, 6), (5, 6));
    }

    #[test]
    fn an_id_that_is_not_mapped_is_shown_as_the_overflow_id() {
        assert_eq!(OWN.inside(6, 5), (OVERFLOW, OVERFLOW));
        for foreign in [0, 99_999, FIRST_HOST_ID + ID_COUNT] {
            assert_eq!(IdMap::Range.inside(foreign, foreign), (OVERFLOW, OVERFLOW));
        }
    }
}
