//! The store: a private directory, in which each layer is either whole or absent.
//!
//! ```text
//! STORE/shifted or own       the ids that the owners are made for: see IdMap
//!     lock                   held by the process that changes the store
//!     images/NAME.json       an image: its layers, and how its programs are run
//!     layers/HEX/root        a layer, by the digest of its archive; all images and containers that
//!                            have the layer share it
//!     layers/HEX/facts.json  what is known of the layer
//!     new/                   what an import is making, and what is being removed
//! ```
//!
//! Everything is made in `new`, written to the disk, and renamed: layers first, the image last. A
//! killed import leaves something in `new`, or a layer that no image has, and the next import
//! removes both. A process that runs a container holds a shared lock on each layer of the
//! container. A process that removes a layer takes the lock exclusively, or leaves the layer.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytesize::ByteSize;
use nix::unistd::{geteuid, syncfs};

use super::disk;
use super::record::Image;
use super::remove::remove_tree;
use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::layer::unpack::LayerFacts;
use crate::image::name::ImageName;
use crate::isolation::id_map::IdMap;
use crate::privilege::Privilege;

/// The store of one user.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    ids: IdMap,
}

/// A writer of the store. While it exists, no other process can change the store.
#[derive(Debug)]
pub struct StoreWriter<'a> {
    store: &'a Store,
    _lock: File,
}

/// The layers of an image. While this exists, nobody can remove them.
#[derive(Debug)]
pub struct HeldLayers {
    /// The directories of the layers, the lowest first.
    pub paths: Vec<PathBuf>,
    _locks: Vec<File>,
}

impl Store {
    /// Opens the store in `directory`. A store that does not exist is empty, and is made when
    /// something is to be put into it.
    ///
    /// # Errors
    /// Other users may write to the store.
    pub fn open(directory: &Path) -> Result<Self, ImageError> {
        let ids = IdMap::of_user_namespace(Privilege::of_this_process());
        let path = directory.join(if ids.changes_user() { "shifted" } else { "own" });
        let store = Self { path, ids };
        store.check_private()?;
        Ok(store)
    }

    /// The directory of the store.
    pub(in crate::image) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes what there is not yet of the store's directories.
    fn make(&self) -> Result<(), ImageError> {
        for name in ["images", "layers", "new"] {
            let path = self.path.join(name);
            let mut builder = DirBuilder::new();
            let made = builder.mode(0o700).recursive(true).create(&path);
            made.map_err(ImageError::store(&path))?;
        }
        self.check_private()
    }

    /// Checks that nobody else can write to the store's directories, as far as they exist.
    fn check_private(&self) -> Result<(), ImageError> {
        for path in [self.path.parent().unwrap_or(&self.path), &self.path] {
            let found = match fs::metadata(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                found => found.map_err(ImageError::store(path))?,
            };
            if found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
                return Err(ImageError::NotPrivate {
                    path: path.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// A new file on the store's disk, which nobody else sees and which ends with its descriptor,
    /// and how much can be written to the disk.
    pub(in crate::image) fn scratch(&self) -> Result<(File, ByteSize), ImageError> {
        self.make()?;
        let failed = ImageError::store(&self.path);
        let file = disk::scratch(&self.path).map_err(&failed)?;
        Ok((file, disk::free(&self.path).map_err(failed)?))
    }

    /// The ids that the owners in the store are made for.
    pub fn ids(&self) -> IdMap {
        self.ids
    }

    /// All images, sorted by name.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn images(&self) -> Result<Vec<Image>, ImageError> {
        let directory = self.path.join("images");
        let failed = ImageError::store(&directory);
        let mut images = Vec::new();
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(images),
            entries => entries.map_err(&failed)?,
        };
        for entry in entries {
            match Image::read(&entry.map_err(&failed)?.path()) {
                Ok(image) => images.push(image),
                // The image was removed after it was listed.
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
    /// There is no such image, or its record cannot be read.
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
    /// A layer is missing, or is being removed.
    pub fn hold(&self, image: &Image) -> Result<HeldLayers, ImageError> {
        let mut locks = Vec::new();
        for layer in &image.stacked {
            let path = self.layer_path(layer);
            let lock = lock_layer(&path).map_err(|source| ImageError::Damaged {
                name: image.name.clone(),
                what: format!("its layer {layer} cannot be used: {source}"),
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

    /// Waits until no other process changes the store, and removes what killed imports left.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn writer(&self) -> Result<StoreWriter<'_>, ImageError> {
        self.make()?;
        let path = self.path.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options
            .open(&path)
            .and_then(|file| file.lock().map(|()| file));
        let writer = StoreWriter {
            store: self,
            _lock: lock.map_err(ImageError::store(&path))?,
        };
        writer.clear()?;
        Ok(writer)
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

/// Takes a shared lock on a layer's directory. The lock counts only if the directory still has its
/// name.
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

impl StoreWriter<'_> {
    /// The store.
    pub(in crate::image) fn store(&self) -> &Store {
        self.store
    }

    /// How much can be written to the store's disk.
    pub(in crate::image) fn free(&self) -> Result<ByteSize, ImageError> {
        disk::free(&self.store.path).map_err(ImageError::store(&self.store.path))
    }

    /// The facts of `layer`; `None` if the store does not have the layer.
    pub(in crate::image) fn facts(&self, layer: &Digest) -> Option<LayerFacts> {
        let text = fs::read(self.store.layer_path(layer).join("facts.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The directory with the files of `layer`, which may be new.
    pub(in crate::image) fn root_of(&self, layer: &Digest) -> PathBuf {
        let new = self.new_path().join(layer.hex()).join("root");
        if new.exists() {
            new
        } else {
            self.store.root_path(layer)
        }
    }

    /// Makes an empty directory for the files of a new layer. The store has the layer only after
    /// [`StoreWriter::commit`].
    pub(in crate::image) fn new_layer(&self, layer: &Digest) -> Result<PathBuf, ImageError> {
        let root = self.new_path().join(layer.hex()).join("root");
        let mut builder = DirBuilder::new();
        let made = builder.mode(0o700).recursive(true).create(&root);
        made.map_err(ImageError::store(&root))?;
        Ok(root)
    }

    /// Writes the facts of a new layer.
    pub(in crate::image) fn describe(
        &self,
        layer: &Digest,
        facts: &LayerFacts,
    ) -> Result<(), ImageError> {
        let path = self.new_path().join(layer.hex()).join("facts.json");
        let text = serde_json::to_vec(facts).unwrap_or_default();
        fs::write(&path, text).map_err(ImageError::store(&path))
    }

    /// Puts `image` and the new layers in their places, and writes them to the disk. From then on
    /// the store has them, also after a crash.
    pub(in crate::image) fn commit(
        &self,
        image: &Image,
        new_layers: &[Digest],
    ) -> Result<(), ImageError> {
        let record = self.new_path().join("image.json");
        let failed = ImageError::store(&record);
        let text = serde_json::to_vec_pretty(image).map_err(|e| failed(e.into()))?;
        let mut file = File::create(&record).map_err(&failed)?;
        file.write_all(&text).map_err(&failed)?;
        // One call writes hundreds of thousands of files to the disk.
        syncfs(&file).map_err(|errno| failed(errno.into()))?;
        for layer in new_layers {
            let path = self.store.layer_path(layer);
            // A layer that exists and was made anew all the same has been found damaged.
            if path.exists() {
                let damaged = format!("{}-damaged", layer.hex());
                self.rename(&path, &self.new_path().join(damaged))?;
            }
            self.rename(&self.new_path().join(layer.hex()), &path)?;
        }
        self.rename(&record, &self.store.image_path(&image.name))
    }

    /// Removes the image called `name`, and the layers that no other image has.
    ///
    /// # Errors
    /// There is no such image, or a container of the image runs.
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

    /// Removes everything in `new`, and the layers that no image has and no container uses.
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

    /// Renames within the store, and writes the change to the disk.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), ImageError> {
        let failed = ImageError::store(to);
        fs::rename(from, to).map_err(&failed)?;
        let directory = to.parent().unwrap_or(&self.store.path);
        File::open(directory)
            .and_then(|d| d.sync_all())
            .map_err(failed)
    }
}

impl Drop for StoreWriter<'_> {
    fn drop(&mut self) {
        // This removes what a failed import made. If it fails, the next import does it.
        let _ = self.clear();
    }
}

/// The names of the entries of `directory`.
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
