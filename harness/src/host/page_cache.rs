#![expect(unsafe_code, reason = "mincore(2) looks at a mapping")]
//! Files out of the page cache, and into it: for starts that find a target's files on the disk alone.
//!
//! The kernel takes advice and promises nothing: it keeps pages that are dirty, or that a running program has mapped.
//! So what has been dropped is looked at, and a file that stays is an error, not a cold start that was none.

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

/// Size of a page of the cache on x86-64.
const PAGE: usize = 4096;
/// How often the kernel is asked to let go of a file.
const ATTEMPTS: u32 = 20;
/// Time between two attempts: a CPU may hold pages that it has yet to put on the kernel's lists.
const INTERVAL: Duration = Duration::from_millis(2);

/// A file could not be brought where it was wanted.
#[derive(Debug, thiserror::Error)]
pub enum PageCacheError {
    /// It can't be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel keeps it.
    #[error(
        "{pages} pages of {} stay in memory: a running program uses it, or this user may not ask",
        path.display()
    )]
    Kept {
        /// The file.
        path: PathBuf,
        /// How many pages of it.
        pages: usize,
    },
}

/// Takes `files` out of the page cache, and makes sure that they are.
///
/// # Errors
/// [`PageCacheError`]
pub fn take_out(files: &[PathBuf]) -> Result<(), PageCacheError> {
    files.iter().try_for_each(|path| {
        let pages = drop_pages(path).map_err(|source| unreadable(path, source))?;
        match pages {
            0 => Ok(()),
            pages => Err(PageCacheError::Kept {
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
pub fn bring_in(files: &[PathBuf]) -> Result<(), PageCacheError> {
    files.iter().try_for_each(|path| {
        let read = File::open(path).and_then(|mut file| io::copy(&mut file, &mut io::sink()));
        read.map(drop).map_err(|source| unreadable(path, source))
    })
}

/// How much of `files` is in the page cache.
///
/// # Errors
/// [`PageCacheError::Read`]
pub fn held(files: &[PathBuf]) -> Result<ByteSize, PageCacheError> {
    let pages = files.iter().map(|path| {
        let pages = File::open(path).and_then(|file| resident(&file));
        pages.map_err(|source| unreadable(path, source))
    });
    let pages: usize = pages.sum::<Result<_, _>>()?;
    Ok(ByteSize::b((pages * PAGE) as u64))
}

/// The regular files among `places` and below them, each once, however many names it has.
pub fn files_of(places: impl IntoIterator<Item = PathBuf>) -> Vec<PathBuf> {
    use std::os::unix::fs::MetadataExt as _;
    let mut pending: Vec<PathBuf> = places.into_iter().collect();
    let mut seen = std::collections::HashSet::new();
    let mut files = Vec::new();
    while let Some(path) = pending.pop() {
        // A link's target is no file of the directory that the link is in.
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

/// Has the kernel drop a file's pages; how many it keeps.
fn drop_pages(path: &Path) -> io::Result<usize> {
    let file = File::open(path)?;
    for attempt in 1.. {
        // Only what the disk has can be dropped.
        file.sync_data()?;
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?;
        let pages = resident(&file)?;
        if pages == 0 || attempt == ATTEMPTS {
            return Ok(pages);
        }
        sleep(INTERVAL);
    }
    Ok(0)
}

/// Number of a file's pages in the page cache.
fn resident(file: &File) -> io::Result<usize> {
    let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    let Some(size) = NonZeroUsize::new(length) else {
        return Ok(0);
    };
    let mut pages = vec![0_u8; length.div_ceil(PAGE)];
    // SAFETY: a new mapping at an address of the kernel's choice, which nothing else knows of. It is never read.
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
    // SAFETY: the mapping is of `length` bytes, and the vector has a byte for each of its pages.
    let looked = unsafe { libc::mincore(start.as_ptr(), length, pages.as_mut_ptr()) };
    let looked = Errno::result(looked);
    // SAFETY: the mapping made above, of which nothing holds a pointer.
    unsafe { munmap(start, length) }?;
    looked?;
    // The other bits of each byte are undefined.
    Ok(pages.iter().filter(|page| **page & 1 == 1).count())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// A file on a disk: what is in memory alone can't be taken out of it.
    fn file(directory: &tempfile::TempDir, pages: usize) -> PathBuf {
        let path = directory.path().join("file");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![7; pages * PAGE]).unwrap();
        path
    }

    fn on_disk() -> tempfile::TempDir {
        tempfile::TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap()
    }

    #[test]
    fn a_file_is_taken_out_and_brought_in_again() {
        let directory = on_disk();
        let files = [file(&directory, 5)];
        assert_eq!(held(&files).unwrap(), ByteSize::b(5 * 4096));
        take_out(&files).unwrap();
        assert_eq!(held(&files).unwrap(), ByteSize::b(0));
        bring_in(&files).unwrap();
        assert_eq!(held(&files).unwrap(), ByteSize::b(5 * 4096));
    }

    #[test]
    fn a_file_that_a_program_uses_is_no_cold_one() {
        let own = [std::env::current_exe().unwrap()];
        let error = take_out(&own).unwrap_err();
        assert!(
            matches!(error, PageCacheError::Kept { pages: 1.., .. }),
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
        assert_eq!(files_of(places).len(), 1);
    }
}
