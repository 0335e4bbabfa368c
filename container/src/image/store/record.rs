//! What the store records of an image, in a file of its own.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use oci_spec::image::Config;
use serde::{Deserialize, Serialize};

use crate::image::digest::Digest;
use crate::image::error::ImageError;
use crate::image::name::ImageName;

/// An imported image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The image's name in the store.
    pub name: ImageName,
    /// The digest of the image's configuration.
    pub id: Digest,
    /// When the image was made, as its maker says.
    pub created: Option<String>,
    /// The image's layers, the lowest first.
    pub layers: Vec<Digest>,
    /// Bytes of the files in the image's layers.
    pub bytes: u64,
    /// The layers that are stacked, the lowest first. Layers are left out that a higher layer hides
    /// wholly, or that come again higher up. Where directories need their attributes back, a layer
    /// of isobench's own is on top (`view/implied.rs`).
    pub stacked: Vec<Digest>,
    /// How programs of the image are to be run.
    pub config: Option<Config>,
}

impl Image {
    /// Every layer that the image needs, once.
    pub fn all_layers(self) -> HashSet<Digest> {
        self.layers.into_iter().chain(self.stacked).collect()
    }

    /// Reads the record in the file `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ImageError> {
        let text = fs::read(path).map_err(ImageError::store(path))?;
        serde_json::from_slice(&text).map_err(|source| ImageError::Json {
            file: path.display().to_string(),
            what: "record of an image",
            source,
        })
    }
}

/// The layers of `all`, lowest first, that have to be stacked. Each layer comes with whether it
/// hides everything below.
///
/// Below a layer that hides everything nothing is seen. If a layer comes twice, only the higher one
/// is stacked: it has everything that the lower one has, on top of the layers between, and
/// overlayfs refuses the same directory twice.
pub fn stacked(all: &[(Digest, bool)]) -> Vec<Digest> {
    let mut kept: Vec<Digest> = Vec::new();
    for (layer, hides_all_below) in all.iter().rev() {
        if !kept.contains(layer) {
            kept.push(layer.clone());
        }
        if *hides_all_below {
            break;
        }
    }
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_is_hidden_or_comes_again_is_not_stacked() {
        let layer = |text: &str| Digest::of(text.as_bytes());
        let plain = |text: &str| (layer(text), false);
        let all = [plain("a"), plain("b"), plain("a"), plain("c")];
        assert_eq!(stacked(&all), ["b", "a", "c"].map(layer));
        let all = [plain("a"), (layer("b"), true), plain("c")];
        assert_eq!(stacked(&all), ["b", "c"].map(layer));
        assert_eq!(stacked(&[]), []);
    }
}
