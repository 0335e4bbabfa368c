//! What the store says of an image, in a file of its own.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use oci_spec::image::Config;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::error::ImageError;
use super::name::ImageName;

/// An imported image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What it is called here.
    pub name: ImageName,
    /// The digest of its configuration.
    pub id: Digest,
    /// When its maker says it was made.
    pub created: Option<String>,
    /// Its layers, the lowest first.
    pub layers: Vec<Digest>,
    /// Bytes of the files in its layers.
    pub bytes: u64,
    /// The layers that are stacked: without those that a higher one hides wholly or that come again higher up, and with
    /// one of our own where directories need their attributes back ([`super::implied`]).
    pub stacked: Vec<Digest>,
    /// How its programs are to be run.
    pub config: Option<Config>,
}

impl Image {
    /// Every layer that it needs, once.
    pub fn all_layers(self) -> HashSet<Digest> {
        self.layers.into_iter().chain(self.stacked).collect()
    }

    /// Reads the record in the file `path`.
    pub(super) fn read(path: &Path) -> Result<Self, ImageError> {
        let text = fs::read(path).map_err(ImageError::store(path))?;
        serde_json::from_slice(&text).map_err(|source| ImageError::Json {
            file: path.display().to_string(),
            source,
        })
    }
}

/// The layers of `all`, lowest first, that have a part in what is seen.
///
/// Below one that hides everything nothing is seen. Of one that comes twice the lower may go, and has to, because overlayfs
/// refuses a directory twice: whatever it has, the higher one has again, on top of all that came between.
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
    fn hidden_and_repeated_layers_are_not_stacked() {
        let layer = |text: &str| Digest::of(text.as_bytes());
        let plain = |text: &str| (layer(text), false);
        let all = [plain("a"), plain("b"), plain("a"), plain("c")];
        assert_eq!(stacked(&all), ["b", "a", "c"].map(layer));
        let all = [plain("a"), (layer("b"), true), plain("c")];
        assert_eq!(stacked(&all), ["b", "c"].map(layer));
        assert_eq!(stacked(&[]), []);
    }
}
