//! Where a run's files can be: what a directory must be like, and which of several is taken.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::geteuid;

/// What a run needs of the directory with its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceNeeds {
    /// What the files have to be on.
    pub medium: Medium,
    /// How much is written there, at most.
    pub space: ByteSize,
}

impl PlaceNeeds {
    /// The needs of programs, roots and configurations alone.
    pub const OF_PROGRAMS: Self = Self {
        medium: Medium::Any,
        space: ByteSize::mib(32),
    };
}

/// What files have to be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// A disk, or memory.
    Any,
    /// A disk: files in memory tell nothing of it.
    Disk,
}

/// Why a directory can't hold a run's files.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The directory isn't there, or can't be looked at.
    #[error("{0}")]
    Unknown(#[from] io::Error),
    /// The runtimes' options can't hold its path.
    #[error(
        "its path {path:?} has the character {character:?}, which options of runtimes can't hold"
    )]
    Path {
        /// The path without symbolic links.
        path: PathBuf,
        /// The first such character.
        character: char,
    },
    /// No program can be started there.
    #[error("it is mounted noexec, and the run starts programs there")]
    NoExec,
    /// Other users can't get to its files, and the root of a container is another user.
    #[error("other users, as a container's root is one, can't pass through {closed:?} (chmod o+x)")]
    Closed {
        /// The directory on the way that stops them.
        closed: PathBuf,
    },
    /// There is too little space.
    #[error("{free} are free there, and the run needs {needed}")]
    Full {
        /// The free space.
        free: ByteSize,
        /// The needed space.
        needed: ByteSize,
    },
    /// Its files are in memory.
    #[error("it is in memory, and the run measures a disk")]
    InMemory,
}

/// Why `directory` can't hold the files of a run with `needs`, if it can't.
///
/// # Errors
/// [`Unfit`]
pub fn check(directory: &Path, needs: &PlaceNeeds) -> Result<(), Unfit> {
    let path = directory.canonicalize()?;
    if !path.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory).into());
    }
    if let Some(character) = first_unusual(path.as_os_str()) {
        return Err(Unfit::Path { path, character });
    }
    let disk = statvfs(&path).map_err(io::Error::from)?;
    if disk.flags().contains(FsFlags::ST_NOEXEC) {
        return Err(Unfit::NoExec);
    }
    // The root inside of an ordinary user's container is that user.
    if geteuid().is_root()
        && let Some(closed) = closed_to_others(&path)?
    {
        return Err(Unfit::Closed { closed });
    }
    let free = ByteSize(disk.blocks_available().saturating_mul(disk.fragment_size()));
    // A ramfs tells of no blocks at all: its space is the host's memory.
    if disk.blocks() > 0 && free < needs.space {
        let needed = needs.space;
        return Err(Unfit::Full { free, needed });
    }
    if needs.medium == Medium::Disk && is_in_memory(&path) {
        return Err(Unfit::InMemory);
    }
    Ok(())
}

/// Whether the files of `directory` are in memory.
pub fn is_in_memory(directory: &Path) -> bool {
    // From linux/magic.h. nix has no name for this number.
    const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);
    statfs(directory).is_ok_and(|fs| [TMPFS_MAGIC, RAMFS_MAGIC].contains(&fs.filesystem_type()))
}

/// The first character of `path` that has a meaning in some runtime's options, or that some runtime
/// doesn't take. Colons, commas, backslashes and quotes separate and escape options of mounts and
/// binds; conmon takes only the characters of its locale, which is "C".
pub fn first_unusual(path: &OsStr) -> Option<char> {
    let is_usual = |byte: &u8| {
        (byte.is_ascii_graphic() || *byte == b' ') && !b":,\\\"'`$;&|<>*?[]{}".contains(byte)
    };
    let first = path.as_bytes().iter().position(|byte| !is_usual(byte))?;
    let rest = String::from_utf8_lossy(&path.as_bytes()[first..]);
    rest.chars().next()
}

/// The first directory on the way to `path`, itself included, that only some users can pass.
fn closed_to_others(path: &Path) -> io::Result<Option<PathBuf>> {
    const OTHERS_MAY_PASS: u32 = 0o001;
    let mut ancestors: Vec<&Path> = path.ancestors().collect();
    ancestors.reverse();
    for ancestor in ancestors {
        if fs::metadata(ancestor)?.permissions().mode() & OTHERS_MAY_PASS == 0 {
            return Ok(Some(ancestor.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use isobench_testing::{Need, lacks};

    use super::*;

    #[test]
    fn a_path_with_a_character_of_the_options_is_unfit() {
        for (name, character) in [
            ("a:b", Some(':')),
            ("a,b", Some(',')),
            ("a\\b", Some('\\')),
            ("a\nb", Some('\n')),
            ("aüb", Some('ü')),
            ("a b", None),
            ("a=b-c+d_e@f.g~h%i#j", None),
        ] {
            assert_eq!(first_unusual(OsStr::new(name)), character, "{name:?}");
        }
        let bytes = OsStr::from_bytes(b"a\xffb");
        assert_eq!(first_unusual(bytes), Some(char::REPLACEMENT_CHARACTER));
    }

    #[test]
    fn a_directory_without_enough_space_is_unfit() {
        let directory = tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let needs = PlaceNeeds {
            space: ByteSize::eib(1),
            ..PlaceNeeds::OF_PROGRAMS
        };
        let found = check(directory.path(), &needs);
        assert!(matches!(found, Err(Unfit::Full { .. })), "{found:?}");
    }

    #[test]
    fn a_directory_that_others_can_t_pass_is_named() {
        if lacks(Need::Root) {
            return;
        }
        let directory = tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let below = directory.path().join("below");
        fs::create_dir(&below).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        let found = check(&below, &PlaceNeeds::OF_PROGRAMS);
        assert!(
            matches!(&found, Err(Unfit::Closed { closed }) if closed == directory.path()),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_no_directory_is_unfit() {
        for path in ["/no/such", "/proc/self/status"] {
            let found = check(Path::new(path), &PlaceNeeds::OF_PROGRAMS);
            assert!(matches!(found, Err(Unfit::Unknown(_))), "{found:?}");
        }
    }
}
