//! The base: a file that stands for the content of an image or a disk. There is one base for all
//! instances, or one for each.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};
use tempfile::TempDir;

use crate::experiments::MeasureError;
use crate::host::page_cache::evict;
use crate::host::probe::disk_use::free_space;

/// The size of a base. It is small, because there may be a hundred bases.
pub(super) const SIZE: ByteSize = ByteSize::mib(1);

/// The name of a base in its directory, and at the root of an instance that has the base in a
/// layer.
pub(super) const NAME: &str = "isobench-base";

/// Bases may take only one part in so many of the free disk.
const DISK_PART: u64 = 2;

/// The bases of one sample. Dropping the value removes them. If the harness is killed, the next
/// session removes them.
#[derive(Debug)]
pub(super) struct Bases {
    directory: TempDir,
    /// The content of every base.
    bytes: Vec<u8>,
    made: Vec<Base>,
}

/// One base.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// The directory that holds only the base, to be used as a layer.
    pub directory: PathBuf,
    /// The base itself, to be used as a disk.
    pub file: PathBuf,
}

impl Bases {
    /// Makes the directory for bases. No base exists yet.
    pub fn new(scratch: &Path) -> Result<Self, MeasureError> {
        let failed = failed(scratch);
        let directory = TempDir::with_prefix_in("image-", scratch).map_err(&failed)?;
        // The root of a container is another user on the host.
        let passable = Permissions::from_mode(0o711);
        fs::set_permissions(directory.path(), passable).map_err(&failed)?;
        fs::create_dir(directory.path().join("written")).map_err(&failed)?;
        // Random bytes can't be compressed, and no two blocks are equal.
        let mut bytes = vec![0; usize::try_from(SIZE.as_u64()).unwrap_or_default()];
        ChaCha8Rng::seed_from_u64(0).fill_bytes(&mut bytes);
        Ok(Self {
            directory,
            bytes,
            made: Vec::new(),
        })
    }

    /// The directory for what instances write.
    pub fn written(&self) -> PathBuf {
        self.directory.path().join("written")
    }

    /// The bases that have been made so far.
    pub fn made(&self) -> &[Base] {
        &self.made
    }

    /// Checks that the disk has enough space for `more` bases.
    ///
    /// # Errors
    /// The reason why the disk has too little space.
    pub fn check_space(&self, more: usize) -> Result<(), String> {
        let directory = self.directory.path();
        let free = free_space(directory).map_err(|error| {
            let directory = directory.display();
            format!("not made: the free space in {directory} can't be read: {error}")
        })?;
        check_space(more, free)
    }

    /// The base number `index`. If the base doesn't exist, it is made, on the disk and not in the
    /// page cache.
    pub fn get_or_make(&mut self, index: usize) -> Result<Base, MeasureError> {
        if let Some(base) = self.made.get(index) {
            return Ok(base.clone());
        }
        let directory = self.directory.path().join(index.to_string());
        let base = Base {
            file: directory.join(NAME),
            directory,
        };
        self.write(&base).map_err(failed(&base.file))?;
        evict(std::slice::from_ref(&base.file))?;
        self.made.push(base.clone());
        Ok(base)
    }

    /// Writes all bytes of a base. If the kernel copied a file, the copy might share blocks with
    /// the original.
    fn write(&self, base: &Base) -> io::Result<()> {
        fs::create_dir(&base.directory)?;
        fs::set_permissions(&base.directory, Permissions::from_mode(0o755))?;
        let mut file = File::create_new(&base.file)?;
        file.write_all(&self.bytes)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> MeasureError {
    move |source| MeasureError::Base {
        path: path.to_owned(),
        source,
    }
}

/// Checks that `more` bases take at most half of the `free` space.
fn check_space(more: usize, free: ByteSize) -> Result<(), String> {
    let needed = SIZE * more as u64;
    if needed.as_u64() <= free.as_u64() / DISK_PART {
        return Ok(());
    }
    Err(format!(
        "not made: {} more would take over half of the {} that are free on the disk; \
         set TMPDIR to a directory on a larger disk",
        needed.display().iec(),
        free.display().iec()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;
    use crate::host::page_cache::cached_size;

    #[test]
    fn half_of_the_free_disk_stays_free() {
        assert_eq!(check_space(100, ByteSize::mib(200)), Ok(()));
        let refusal = check_space(100, ByteSize::mib(199)).unwrap_err();
        assert!(refusal.contains("100.0 MiB"), "{refusal}");
        assert!(refusal.contains("199.0 MiB"), "{refusal}");
        assert_eq!(check_space(0, ByteSize(0)), Ok(()));
    }

    #[test]
    fn bases_are_on_the_disk_not_in_the_page_cache_and_removed_in_the_end() {
        let scratch = TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut bases = Bases::new(scratch.path()).unwrap();
        bases.check_space(2).unwrap();
        let first = bases.get_or_make(0).unwrap();
        let second = bases.get_or_make(1).unwrap();
        assert_eq!(bases.get_or_make(0).unwrap().file, first.file);
        assert_eq!(bases.made().len(), 2);
        let found = fs::metadata(&second.file).unwrap();
        assert!(found.blocks() * 512 >= SIZE.as_u64());
        assert_ne!(found.ino(), fs::metadata(&first.file).unwrap().ino());
        let files = [first.file, second.file];
        assert_eq!(cached_size(&files).unwrap(), ByteSize(0));
        drop(bases);
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_error_for_a_missing_directory_names_the_directory() {
        let error = Bases::new(Path::new("/no/such/place")).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
    }

    #[test]
    fn the_error_for_a_base_that_can_t_be_made_names_the_base() {
        let scratch = TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut bases = Bases::new(scratch.path()).unwrap();
        fs::remove_dir_all(bases.directory.path()).unwrap();
        let error = bases.get_or_make(0).unwrap_err();
        assert!(error.to_string().contains(NAME), "{error}");
        let refusal = bases.check_space(1).unwrap_err();
        assert!(refusal.contains("can't be read"), "{refusal}");
    }
}
