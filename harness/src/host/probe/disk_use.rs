//! What files take on a disk: the blocks that their file system has given them, each file once.
//!
//! A file's length says something else. A file with holes takes less; a short one takes a whole block; two names of one
//! file take what one does. Blocks that two files share (reflinks) are counted for each: stat(2) can't tell.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

/// The unit of `st_blocks`, whatever a file system's own blocks are.
const BLOCK: u64 = 512;

/// What a file takes could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("cannot look at {}, to add up what is on the disk", path.display())]
pub struct DiskUseError {
    /// The file or directory.
    path: PathBuf,
    /// Why.
    source: io::Error,
}

/// A file, directory or link on a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// One of its names.
    pub path: PathBuf,
    /// What it takes.
    pub allocated: ByteSize,
    /// Whether it's a regular file that isn't empty, so that the page cache may hold some of it.
    pub has_pages: bool,
}

/// `places` and all that is below them, each file once, however many names it has. Links are not followed.
///
/// # Errors
/// Something can't be looked at: a sum without it would be too small.
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
            has_pages: found.is_file() && found.len() > 0,
            path,
        });
    }
    Ok(entries)
}

/// What `entries` take together.
pub fn sum<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> ByteSize {
    let sizes = entries.into_iter().map(|entry| entry.allocated.as_u64());
    ByteSize(sizes.sum())
}

/// The files among `entries` of which the page cache may hold something.
pub fn files(entries: &[Entry]) -> Vec<PathBuf> {
    let files = entries.iter().filter(|entry| entry.has_pages);
    files.map(|entry| entry.path.clone()).collect()
}

/// What can still be written to the disk of `directory`.
///
/// # Errors
/// The kernel doesn't say.
pub fn free(directory: &Path) -> io::Result<ByteSize> {
    let disk = nix::sys::statvfs::statvfs(directory)?;
    Ok(ByteSize(disk.blocks_available() * disk.fragment_size()))
}

/// Overlayfs makes an empty directory that nobody may list, its owner included.
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
        assert_eq!(files(&found).len(), 1);
        let of_file = found.iter().find(|entry| entry.has_pages).unwrap();
        let blocks = fs::metadata(path("file")).unwrap().blocks();
        assert_eq!(of_file.allocated, ByteSize(blocks * 512));
        assert!(sum(&found) >= of_file.allocated && of_file.allocated >= ByteSize(8192));
    }

    #[test]
    fn a_hole_takes_nothing() {
        let directory = on_disk();
        let path = directory.path().join("sparse");
        let file = fs::File::create(&path).unwrap();
        file.set_len(1 << 30).unwrap();
        let found = entries([path]).unwrap();
        assert!(sum(&found) < ByteSize::mib(1), "{found:?}");
    }

    #[test]
    fn what_can_t_be_looked_at_is_an_error() {
        let error = entries(["/no/such/file".into()]).unwrap_err().to_string();
        assert!(error.contains("/no/such/file"), "{error}");
        assert!(free(Path::new("/no/such/directory")).is_err());
        assert!(free(Path::new("/")).is_ok());
    }

    #[test]
    fn a_directory_that_nobody_may_list_is_taken_for_empty() {
        let directory = on_disk();
        let closed = directory.path().join("work");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).unwrap();
        assert_eq!(entries([directory.path().to_owned()]).unwrap().len(), 2);
    }
}
