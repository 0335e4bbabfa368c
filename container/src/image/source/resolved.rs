//! An image whose parts are known, but whose layers are not yet read.

use oci_spec::image::Config;

use super::documents::Configuration;
use super::files::Source;
use crate::image::digest::Digest;
use crate::image::error::ImageError;

/// The most layers that an image may have: twice as many as other engines run. Overlayfs takes 500,
/// but a process may have 1024 files open, and each layer is open twice while a program is looked
/// up.
pub const MAX_LAYERS: usize = 256;

/// An image whose parts are known.
#[derive(Debug)]
pub struct Resolved {
    /// The name that the image has in the source.
    pub name: Option<String>,
    /// The digest of the configuration, which is the image's identity.
    pub id: Digest,
    /// When the image was made, as its maker says.
    pub created: Option<String>,
    /// How programs of the image are to be run.
    pub config: Config,
    /// The layers, lowest first.
    pub layers: Vec<LayerBlob>,
}

/// A layer as a manifest has it.
#[derive(Debug, PartialEq, Eq)]
pub struct LayerFile {
    /// The name of the layer's file.
    pub name: String,
    /// The digest of the file, if the manifest gives one.
    pub digest: Option<Digest>,
}

/// A layer whose identity is known.
#[derive(Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// The layer's file.
    pub file: LayerFile,
    /// The digest of the decompressed archive, which is the layer's identity.
    pub diff_id: Digest,
}

/// The configuration in `file`, which must be for this machine.
pub fn configuration(
    source: &Source,
    file: &str,
    digest: Option<&Digest>,
) -> Result<Configuration, ImageError> {
    let configuration: Configuration = source.json(file, "configuration", digest)?;
    if !configuration.platform.is_ours() {
        return Err(ImageError::Platform {
            path: source.path().to_owned(),
            found: configuration.platform.to_string(),
        });
    }
    Ok(configuration)
}

/// The image of these layers, each with the diff id that the configuration has for it.
pub fn with_layers(
    name: Option<String>,
    id: Digest,
    configuration: Configuration,
    layers: Vec<LayerFile>,
) -> Result<Resolved, ImageError> {
    let diff_ids = configuration.diff_ids();
    if diff_ids.len() != layers.len() {
        return Err(ImageError::LayerCount {
            diff_ids: diff_ids.len(),
            layers: layers.len(),
        });
    }
    if layers.len() > MAX_LAYERS {
        return Err(ImageError::TooManyLayers {
            count: layers.len(),
            most: MAX_LAYERS,
        });
    }
    let paired = layers.into_iter().zip(diff_ids);
    let layers = paired.map(|(file, diff_id)| {
        Ok(LayerBlob {
            file,
            diff_id: diff_id.parse()?,
        })
    });
    let layers = layers.collect::<Result<_, ImageError>>()?;
    Ok(Resolved {
        name,
        id,
        created: configuration.created.clone(),
        config: configuration.into_config(),
        layers,
    })
}
