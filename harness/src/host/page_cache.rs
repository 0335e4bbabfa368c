#![expect(unsafe_code, reason = "mincore(2) looks at a mapping")]
//! Evicts files from the page cache, and reads them in again: for starts that find a target's files
//! on the disk alone.
//!
//! The kernel may ignore the advice to evict a file: it keeps pages that are dirty, or that a
//! running program has mapped. So the page cache is checked after an eviction. A file that is still
//! cached is an error, because the start would not be cold.

use std::fs::{self, File};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use bytesize::ByteSize;
use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The size of a page on x86-64, in bytes.
const PAGE: usize = 4096;
/// How often the kernel is asked to evict a file.
const ATTEMPTS: u32 = 20;
/// The time between two attempts. A CPU may still hold pages that are not yet on the kernel's
/// lists.
const INTERVAL: Duration = Duration::from_millis(2);

/// A file could not be evicted from the page cache, or not be read into it.
#[derive(Debug, thiserror::Error)]
pub enum PageCacheError {
    /// The file can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The kernel keeps pages of the file in memory.
    #[error(
        "{pages} pages of {} stay in memory: a running program uses the file, \
         or this user may not evict it",
        path.display()
    )]
    StillCached {
        /// The file.
        path: PathBuf,
        /// The number of pages that stay.
        pages: usize,
    },
}

/// Evicts `files` from the page cache, and checks that no page is left.
///
/// # Errors
/// [`PageCacheError`]
pub fn evict(files: &[PathBuf]) -> Result<(), PageCacheError> {
    files.iter().try_for_each(|path| {
        let pages = evict_file(path).map_err(|source| unreadable(path, source))?;
        match pages {
            0 => Ok(()),
            pages => Err(PageCacheError::StillCached {
                path: path.clone(),
                pages,
            }),
        }
    })
}

/// Reads `files` into the page cache.
///
/// # Errors
/// [`PageCacheError::Read`]
pub fn load(files: &[PathBuf]) -> Result<(), PageCacheError> {
    files.iter().try_for_each(|path| {
        let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
        read.map(drop).map_err(|source| unreadable(path, source))
    })
}

/// The size of those pages of `files` that are in the page cache.
///
/// # Errors
/// [`PageCacheError::Read`]
pub fn cached_size(files: &[PathBuf]) -> Result<ByteSize, PageCacheError> {
    let pages = files.iter().map(|path| {
        let pages = File::open(path).and_then(|file| cached_pages(&file));
        pages.map_err(|source| unreadable(path, source))
    });
    let pages: usize = pages.sum::<Result<_, _>>()?;
    Ok(ByteSize::b((pages * PAGE) as u64))
}

/// The regular files among `places` and below them. A file with several names is listed once.
pub fn files_below(places: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let mut pending: Vec<PathBuf> = places.into_iter().collect();
    let mut seen = std::collections::HashSet::new();
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        // A symbolic link is not followed: its target doesn't lie below the link's directory.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        if found.is_dir() {
            let entries = fs::read_dir(&path).into_iter().flatten().flatten();
            pending.extend(entries.map(|entry| entry.path()));
        } else if found.is_file() && found.len() > 0 && seen.insert((found.dev(), found.ino())) {
            files.push(path);
        }
    }
    files
}

fn unreadable(path: &Path, source: io::Error) -> PageCacheError {
    PageCacheError::Read {
        path: path.to_owned(),
        source,
    }
}

/// Asks the kernel to evict a file's pages. Returns the number of pages that stay.
fn evict_file(path: &Path) -> io::Result<usize> {
    let file = File::open(path)?;
    for attempt in 1.. {
        // The kernel evicts only pages that are already written to the disk.
        file.sync_data()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        let pages = cached_pages(&file)?;
        if pages == 0 || attempt == ATTEMPTS {
            return Ok(pages);
        }
        sleep(INTERVAL);
    }
    Ok(0)
}

/// The number of a file's pages in the page cache.
fn cached_pages(file: &File) -> io::Result<usize> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let Some(size) = NonZeroUsize::new(length) else {
        return Ok(0);
    };
    let mut pages = vec![0_u8; length.div_ceil(PAGE)];
    // SAFETY: the kernel chooses the address of the new mapping, so the mapping replaces no other.
    // Its memory is never read.
    let start = unsafe {
        mmap(
            None,
            size,
            ProtFlags::PROT_READ,
            MapFlags::MAP_SHARED,
            file,
            0,
        )
    }?;
    // SAFETY: the mapping has `length` bytes, and the vector has a byte for each of its pages.
    let result = unsafe { libc::mincore(start.as_ptr(), length, pages.as_mut_ptr()) };
    let result = Errno::result(result);
    // SAFETY: this is the mapping made above, and nothing else points into it.
    unsafe { munmap(start, length) }?;
    result?;
    // Only the lowest bit of each byte is defined (mincore(2)).
    Ok(pages.iter().filter(|page| **page & 1 == 1).count())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Makes a file of some pages.
    fn file(directory: &tempfile::TempDir, pages: usize) -> PathBuf {
        let path = directory.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![7; pages * PAGE]).unwrap();
        path
    }

    /// A directory on a disk: the files of a tmpfs can't be evicted.
    fn on_disk() -> tempfile::TempDir {
        tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    #[test]
    fn a_file_is_evicted_and_loaded_again() {
        let directory = on_disk();
        let files = [file(&directory, 5)];
        assert_eq!(cached_size(&files).unwrap(), ByteSize::b(5 * 4096));
        evict(&files).unwrap();
        assert_eq!(cached_size(&files).unwrap(), ByteSize::b(0));
        load(&files).unwrap();
        assert_eq!(cached_size(&files).unwrap(), ByteSize::b(5 * 4096));
    }

    #[test]
    fn a_file_that_a_program_uses_can_t_be_evicted() {
        let own = [std::env::current_exe().unwrap()];
        let error = evict(&own).unwrap_err();
        assert!(
            matches!(error, PageCacheError::StillCached { pages: 1.., .. }),
            "{error}"
        );
    }

    #[test]
    fn each_file_below_a_place_counts_once() {
        let directory = on_disk();
        let path = file(&directory, 1);
        fs::create_dir(directory.path().join("below")).unwrap();
        fs::hard_link(&path, directory.path().join("below/again")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", directory.path().join("link")).unwrap();
        fs::write(directory.path().join("empty"), "").unwrap();
        let places = [directory.path().to_owned(), path, "/no/such/file".into()];
        assert_eq!(files_below(places).len(), 1);
    }
}
