//! The base: a file that stands for what an image or a disk holds, once for all instances or once for each.

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

/// Its size: small, for there are a hundred of it; what it holds doesn't matter.
pub(super) const SIZE: ByteSize = ByteSize::mib(1);

/// The file's name, in its directory and at the root of an instance that has it in a layer.
pub(super) const NAME: &str = "isobench-base";

/// What is left of the disk for others: more than is taken.
const SHARE: u64 = 2;

/// The files of one sample; they go when it is dropped, and with the session if nobody drops it.
#[derive(Debug)]
pub(super) struct Bases {
    directory: TempDir,
    bytes: Vec<u8>,
    made: Vec<Base>,
}

/// One base.
#[derive(Debug, Clone)]
pub(super) struct Base {
    /// The directory that holds nothing else: a layer.
    pub directory: PathBuf,
    /// The file in it: a disk.
    pub file: PathBuf,
}

impl Bases {
    /// None yet.
    pub fn new(scratch: &Path) -> Result<Self, MeasureError> {
        let failed = failed(scratch);
        let directory = TempDir::with_prefix_in("image-", scratch).map_err(&failed)?;
        // The root of a container is another user on the host.
        let passable = Permissions::from_mode(0o711);
        fs::set_permissions(directory.path(), passable).map_err(&failed)?;
        fs::create_dir(directory.path().join("written")).map_err(&failed)?;
        // They must not compress, and no two blocks be alike.
        let mut bytes = vec![0; usize::try_from(SIZE.as_u64()).unwrap_or_default()];
        ChaCha8Rng::seed_from_u64(0).fill_bytes(&mut bytes);
        Ok(Self {
            directory,
            bytes,
            made: Vec::new(),
        })
    }

    /// Where instances may write.
    pub fn written(&self) -> PathBuf {
        self.directory.path().join("written")
    }

    /// Those that there are.
    pub fn made(&self) -> &[Base] {
        &self.made
    }

    /// Why the disk has no room for `more` of them, if so.
    pub fn refuse(&self, more: usize) -> Result<(), String> {
        let directory = self.directory.path();
        let free = free_space(directory).map_err(|error| {
            let directory = directory.display();
            format!("not made: how much is free in {directory} can't be read: {error}")
        })?;
        judge(more, free)
    }

    /// Number `index`, made if it isn't there: on the disk, and not in memory.
    pub fn get(&mut self, index: usize) -> Result<Base, MeasureError> {
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

    /// Byte by byte: a copy made by the kernel may share its blocks with the original.
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

/// Whether `more` bases fit into what is `free` of the disk, with room to spare.
fn judge(more: usize, free: ByteSize) -> Result<(), String> {
    let needed = SIZE * more as u64;
    if needed.as_u64() <= free.as_u64() / SHARE {
        return Ok(());
    }
    Err(format!(
        "not made: {} more would take over half of the {} that the disk has left; set TMPDIR to a larger one",
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
    fn half_of_the_disk_stays_free() {
        assert!(judge(100, ByteSize::mib(200)).is_ok());
        let refusal = judge(100, ByteSize::mib(199)).unwrap_err();
        assert!(
            refusal.contains("100.0 MiB") && refusal.contains("199.0 MiB"),
            "{refusal}"
        );
        assert!(judge(0, ByteSize(0)).is_ok());
    }

    #[test]
    fn bases_are_on_the_disk_out_of_memory_and_gone_in_the_end() {
        let scratch = TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut bases = Bases::new(scratch.path()).unwrap();
        bases.refuse(2).unwrap();
        let (first, second) = (bases.get(0).unwrap(), bases.get(1).unwrap());
        assert_eq!(bases.get(0).unwrap().file, first.file);
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
    fn a_place_that_is_none_is_named() {
        let error = Bases::new(Path::new("/no/such/place")).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
        let scratch = TempDir::new_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mut bases = Bases::new(scratch.path()).unwrap();
        fs::remove_dir_all(bases.directory.path()).unwrap();
        let error = bases.get(0).unwrap_err();
        assert!(error.to_string().contains(NAME), "{error}");
        assert!(bases.refuse(1).unwrap_err().contains("can't be read"));
    }
}
