//! The space that files take on a disk: the blocks that the file system has allocated, each file
//! once.
//!
//! A file's length is a different figure. A file with holes takes less than its length, and a short
//! file takes a whole block. A file with two names is counted once. Blocks that two files share
//! (reflinks) are counted for each file, because stat(2) doesn't tell that they are shared.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

/// The unit of `st_blocks` in bytes (stat(2)). A file system's own blocks may have another size.
const BLOCK: u64 = 512;

/// The space that a file takes could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("cannot find out how much space {} takes on the disk", path.display())]
pub struct DiskUseError {
    /// The file or directory.
    path: PathBuf,
    /// The kernel's reason.
    source: io::Error,
}

/// A file, directory or link on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path of the file, or one of its paths.
    pub path: PathBuf,
    /// The size of the allocated blocks.
    pub allocated: ByteSize,
    /// Whether the page cache may hold some of the entry: it is a regular file and isn't empty.
    pub is_cacheable: bool,
}

/// Lists `places` and all that is below them. A file with several names is listed once. Symbolic
/// links are not followed.
///
/// # Errors
/// A file or directory can't be read. A list without its size would give too small a sum.
pub fn entries(places: impl IntoIterator<Item = PathBuf>) -> Result<Vec<Entry>, DiskUseError> {
    let mut pending: Vec<PathBuf> = places.into_iter().collect();
    let mut seen = HashSet::new();
    let mut entries = Vec::new();
    while let Some(path) = pending.pop() {
        let failed = |source| DiskUseError {
            path: path.clone(),
            source,
        };
        let found = fs::symlink_metadata(&path).map_err(failed)?;
        if !seen.insert((found.dev(), found.ino())) {
            continue;
        }
        if may_be_listed(&found) {
            for entry in fs::read_dir(&path).map_err(failed)? {
                pending.push(entry.map_err(failed)?.path());
            }
        }
        entries.push(Entry {
            allocated: ByteSize(found.blocks() * BLOCK),
            is_cacheable: found.is_file() && found.len() > 0,
            path,
        });
    }
    Ok(entries)
}

/// The space that `entries` take together.
pub fn allocated_size<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> ByteSize {
    let sizes = entries.into_iter().map(|entry| entry.allocated.as_u64());
    ByteSize(sizes.sum())
}

/// The paths of those `entries` that may be in the page cache.
pub fn cacheable_files(entries: &[Entry]) -> Vec<PathBuf> {
    let files = entries.iter().filter(|entry| entry.is_cacheable);
    files.map(|entry| entry.path.clone()).collect()
}

/// The free space on the disk of `directory`, as far as this user may fill it.
///
/// # Errors
/// statvfs(2) fails.
pub fn free_space(directory: &Path) -> io::Result<ByteSize> {
    let disk = nix::sys::statvfs::statvfs(directory)?;
    Ok(ByteSize(disk.blocks_available() * disk.fragment_size()))
}

/// Whether `found` is a directory that somebody may list. Overlayfs makes an empty directory that
/// nobody may list, not even its owner.
fn may_be_listed(found: &Metadata) -> bool {
    found.is_dir() && found.mode() & 0o777 != 0
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn on_disk() -> tempfile::TempDir {
        tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    #[test]
    fn each_file_counts_once_with_its_blocks() {
        let directory = on_disk();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("file"), vec![7; 10_000]).unwrap();
        fs::File::open(path("file")).unwrap().sync_all().unwrap();
        fs::create_dir(path("below")).unwrap();
        fs::hard_link(path("file"), path("below/again")).unwrap();
        symlink("/etc/passwd", path("link")).unwrap();
        fs::write(path("empty"), "").unwrap();
        let found = entries([directory.path().to_owned(), path("file")]).unwrap();
        assert_eq!(found.len(), 5, "{found:?}");
        assert_eq!(cacheable_files(&found).len(), 1);
        let of_file = found.iter().find(|entry| entry.is_cacheable).unwrap();
        let blocks = fs::metadata(path("file")).unwrap().blocks();
        assert_eq!(of_file.allocated, ByteSize(blocks * 512));
        assert!(of_file.allocated >= ByteSize(8192), "{found:?}");
        assert!(allocated_size(&found) >= of_file.allocated, "{found:?}");
    }

    #[test]
    fn a_hole_takes_no_space() {
        let directory = on_disk();
        let path = directory.path().join("sparse");
        let file = fs::File::create(&path).unwrap();
        file.set_len(1 << 30).unwrap();
        let found = entries([path]).unwrap();
        assert!(allocated_size(&found) < ByteSize::mib(1), "{found:?}");
    }

    #[test]
    fn the_error_for_a_missing_file_names_the_file() {
        let error = entries(["/no/such/file".into()]).unwrap_err().to_string();
        assert!(error.contains("/no/such/file"), "{error}");
    }

    #[test]
    fn only_an_existing_directory_has_free_space() {
        assert!(free_space(Path::new("/no/such/directory")).is_err());
        assert!(free_space(Path::new("/")).is_ok());
    }

    #[test]
    fn a_directory_that_nobody_may_list_counts_as_empty() {
        let directory = on_disk();
        let closed = directory.path().join("work");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        assert_eq!(entries([directory.path().to_owned()]).unwrap().len(), 2);
    }
}
