//! Where imported images are: a private directory, in which a layer is either whole or not there.
//!
//! ```text
//! STORE/shifted or own       the ids that the owners are made for: see IdMap
//!     lock                   held by whoever changes something
//!     images/NAME.json       an image: its layers and how its programs are run
//!     layers/HEX/root        a layer, by the digest of its archive; every image and container that has it shares it
//!     layers/HEX/facts.json  what is known of it
//!     new/                   what an import is making, and what is being removed
//! ```
//!
//! Everything is made in `new`, written to the disk, and renamed: layers first, the image last. What a killed import leaves
//! is in `new`, or a layer that no image has, and the next import removes both. Who runs a container holds a shared lock
//! on each of its layers; who removes a layer takes the lock alone, or leaves the layer.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{geteuid, syncfs};

use super::digest::Digest;
use super::error::ImageError;
use super::name::ImageName;
use super::record::Image;
use super::remove::remove_tree;
use super::unpack::LayerFacts;
use crate::isolation::id_map::IdMap;
use crate::privilege::Privilege;

/// The store of one user.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    ids: IdMap,
}

/// The right to change the store, until it is dropped.
#[derive(Debug)]
pub struct Changing<'a> {
    store: &'a Store,
    _lock: File,
}

/// The layers of an image, kept from being removed until this is dropped.
#[derive(Debug)]
pub struct HeldLayers {
    /// Their directories, the lowest first.
    pub paths: Vec<PathBuf>,
    _locks: Vec<File>,
}

impl Store {
    /// Opens the store in `directory`, or makes it.
    ///
    /// # Errors
    /// It can't be made, or isn't this user's alone.
    pub fn open(directory: &Path) -> Result<Self, ImageError> {
        let ids = IdMap::of_user_namespace(Privilege::of_this_process());
        let path = directory.join(if ids.changes_user() { "shifted" } else { "own" });
        for name in ["images", "layers", "new"] {
            let path = path.join(name);
            let mut builder = DirBuilder::new();
            let made = builder.mode(0o700).recursive(true).create(&path);
            made.map_err(ImageError::store(&path))?;
        }
        for path in [directory, &path] {
            let found = fs::metadata(path).map_err(ImageError::store(path))?;
            if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
                return Err(ImageError::NotPrivate {
                    path: path.to_owned(),
                });
            }
        }
        Ok(Self { path, ids })
    }

    /// The ids that owners are made for.
    pub fn ids(&self) -> IdMap {
        self.ids
    }

    /// The images, by name.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn images(&self) -> Result<Vec<Image>, ImageError> {
        let directory = self.path.join("images");
        let failed = ImageError::store(&directory);
        let mut images = Vec::new();
        for entry in fs::read_dir(&directory).map_err(&failed)? {
            match Image::read(&entry.map_err(&failed)?.path()) {
                Ok(image) => images.push(image),
                // Removed since it was listed.
                Err(ImageError::Store { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    /// The image called `name`.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn image(&self, name: &ImageName) -> Result<Image, ImageError> {
        Image::read(&self.image_path(name)).map_err(|error| match error {
            ImageError::Store { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                ImageError::NoSuchImage { name: name.clone() }
            }
            other => other,
        })
    }

    /// Keeps the layers of `image` from being removed.
    ///
    /// # Errors
    /// One isn't there, or is being removed.
    pub fn hold(&self, image: &Image) -> Result<HeldLayers, ImageError> {
        let mut locks = Vec::new();
        for layer in &image.stacked {
            let path = self.layer_path(layer);
            let lock = lock_layer(&path).map_err(|source| ImageError::Damaged {
                name: image.name.clone(),
                what: format!("its layer {layer} can't be used: {source}"),
            })?;
            locks.push(lock);
        }
        Ok(HeldLayers {
            paths: image
                .stacked
                .iter()
                .map(|layer| self.root_path(layer))
                .collect(),
            _locks: locks,
        })
    }

    /// Waits for the right to change the store, and removes what killed imports left.
    ///
    /// # Errors
    /// The store can't be written.
    pub fn change(&self) -> Result<Changing<'_>, ImageError> {
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options
            .open(&path)
            .and_then(|file| file.lock().map(|()| file));
        let changing = Changing {
            store: self,
            _lock: lock.map_err(ImageError::store(&path))?,
        };
        changing.clear()?;
        Ok(changing)
    }

    fn image_path(&self, name: &ImageName) -> PathBuf {
        self.path.join("images").join(name.file_name())
    }

    fn layer_path(&self, layer: &Digest) -> PathBuf {
        self.path.join("layers").join(layer.hex())
    }

    fn root_path(&self, layer: &Digest) -> PathBuf {
        self.layer_path(layer).join("root")
    }
}

/// A shared lock on a layer's directory. It counts only if the directory is still the one of that name.
fn lock_layer(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    file.try_lock_shared().map_err(|error| match error {
        TryLockError::WouldBlock => io::Error::other("it is being removed"),
        TryLockError::Error(error) => error,
    })?;
    let (ours, there) = (file.metadata()?, fs::metadata(path)?);
    if (ours.dev(), ours.ino()) == (there.dev(), there.ino()) {
        Ok(file)
    } else {
        Err(io::Error::other("it has just been removed"))
    }
}

impl Changing<'_> {
    /// The store.
    pub(super) fn store(&self) -> &Store {
        self.store
    }

    /// What can be written to the store's disk.
    pub(super) fn free(&self) -> Result<ByteSize, ImageError> {
        let failed = ImageError::store(&self.store.path);
        let directory = File::open(&self.store.path).map_err(&failed)?;
        let disk = fstatvfs(&directory).map_err(|errno| failed(errno.into()))?;
        Ok(ByteSize(disk.blocks_available() * disk.fragment_size()))
    }

    /// What is known of `layer`, if it is there.
    pub(super) fn facts(&self, layer: &Digest) -> Option<LayerFacts> {
        let text = fs::read(self.store.layer_path(layer).join("facts.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Where the files of `layer` are, be it new or not.
    pub(super) fn root_of(&self, layer: &Digest) -> PathBuf {
        let new = self.new_path().join(layer.hex()).join("root");
        if new.exists() {
            new
        } else {
            self.store.root_path(layer)
        }
    }

    /// An empty directory for `layer`'s files, to be there only when all is done.
    pub(super) fn new_layer(&self, layer: &Digest) -> Result<PathBuf, ImageError> {
        let root = self.new_path().join(layer.hex()).join("root");
        let mut builder = DirBuilder::new();
        let made = builder.mode(0o700).recursive(true).create(&root);
        made.map_err(ImageError::store(&root))?;
        Ok(root)
    }

    /// Says what is known of a new layer.
    pub(super) fn describe(&self, layer: &Digest, facts: &LayerFacts) -> Result<(), ImageError> {
        let path = self.new_path().join(layer.hex()).join("facts.json");
        let text = serde_json::to_vec(facts).unwrap_or_default();
        fs::write(&path, text).map_err(ImageError::store(&path))
    }

    /// Puts `image` and the new layers in their places. From then on they are there, whatever happens.
    pub(super) fn commit(&self, image: &Image, new_layers: &[Digest]) -> Result<(), ImageError> {
        let record = self.new_path().join("image.json");
        let failed = ImageError::store(&record);
        let text = serde_json::to_vec_pretty(image).map_err(|e| failed(e.into()))?;
        let mut file = File::create(&record).map_err(&failed)?;
        file.write_all(&text).map_err(&failed)?;
        // Hundreds of thousands of files at once.
        syncfs(&file).map_err(|errno| failed(errno.into()))?;
        for layer in new_layers {
            let path = self.store.layer_path(layer);
            // What is there has been found damaged, or it would not be made anew.
            if path.exists() {
                let damaged = format!("{}-damaged", layer.hex());
                self.rename(&path, &self.new_path().join(damaged))?;
            }
            self.rename(&self.new_path().join(layer.hex()), &path)?;
        }
        self.rename(&record, &self.store.image_path(&image.name))
    }

    /// Removes the image called `name`, and the layers that no other has.
    ///
    /// # Errors
    /// There is none, or a container runs in it.
    pub fn remove(&self, name: &ImageName) -> Result<(), ImageError> {
        let image = self.store.image(name)?;
        let others = self.store.images()?.into_iter();
        let others = others.filter(|other| other.name != *name);
        let kept: HashSet<Digest> = others.flat_map(Image::all_layers).collect();
        let mut locks = Vec::new();
        for layer in image.all_layers().difference(&kept) {
            let Ok(lock) = File::open(self.store.layer_path(layer)) else {
                continue;
            };
            if lock.try_lock().is_err() {
                return Err(ImageError::InUse { name: name.clone() });
            }
            locks.push(lock);
        }
        let path = self.store.image_path(name);
        fs::remove_file(&path).map_err(ImageError::store(&path))?;
        drop(locks);
        self.clear()
    }

    /// Removes what is in `new`, and the layers that no image has and no container uses.
    fn clear(&self) -> Result<(), ImageError> {
        let images = self.store.images()?.into_iter();
        let kept: HashSet<String> = images
            .flat_map(Image::all_layers)
            .map(|layer| layer.hex().to_owned())
            .collect();
        for name in names(&self.store.path.join("layers"))? {
            let path = self.store.path.join("layers").join(&name);
            if kept.contains(&name) {
                continue;
            }
            let failed = ImageError::store(&path);
            let lock = File::open(&path).map_err(&failed)?;
            if lock.try_lock().is_ok() {
                self.rename(&path, &self.new_path().join(name))?;
            }
        }
        for name in names(&self.new_path())? {
            let path = self.new_path().join(name);
            remove_tree(&path).map_err(ImageError::store(&path))?;
        }
        Ok(())
    }

    fn new_path(&self) -> PathBuf {
        self.store.path.join("new")
    }

    /// Renames within the store, and has the disk know.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), ImageError> {
        let failed = ImageError::store(to);
        fs::rename(from, to).map_err(&failed)?;
        let directory = to.parent().unwrap_or(&self.store.path);
        File::open(directory)
            .and_then(|d| d.sync_all())
            .map_err(failed)
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        // What a failed import made. If that can't be done now, the next import does it.
        let _ = self.clear();
    }
}

fn names(directory: &Path) -> Result<Vec<String>, ImageError> {
    let failed = ImageError::store(directory);
    let entries = fs::read_dir(directory).map_err(&failed)?;
    entries
        .map(|entry| {
            Ok(entry
                .map_err(&failed)?
                .file_name()
                .to_string_lossy()
                .into_owned())
        })
        .collect()
}
