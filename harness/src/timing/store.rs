//! The store of images that the user has imported.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use isobench_container::image::{ImageError, Store};

/// The store can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing says where the store is.
    #[error("no place to keep images: HOME is not set; name one in ISOBENCH_STORE")]
    NoPlace,
    /// The store's path is relative, and there is no working directory.
    #[error("cannot resolve the store's path {}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The store can't be opened.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Opens the store that the environment names, or the one in the user's home.
///
/// # Errors
/// [`StoreError`]
pub fn open_store() -> Result<Store, StoreError> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let path = set("ISOBENCH_STORE")
        .or_else(|| set("XDG_DATA_HOME").map(|data| data.join("isobench")))
        .or_else(|| set("HOME").map(|home| home.join(".local/share/isobench")))
        .ok_or(StoreError::NoPlace)?;
    let absolute = std::path::absolute(Path::new(&path))
        .map_err(|source| StoreError::Path { path, source })?;
    Ok(Store::open(&absolute)?)
}
