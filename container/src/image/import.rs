//! Importing an image: from a source to the store, all or nothing.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::compression::Compression;
use super::digest::{Digest, DigestReader};
use super::error::{ImageError, LayerFault};
use super::implied;
use super::manifest::{LayerBlob, Resolved, resolve};
use super::members::ArchiveFault;
use super::meter::{Meter, MeteredReader, TooMuch};
use super::name::ImageName;
use super::record::{Image, stacked};
use super::source::Source;
use super::store::{Changing, Store};
use super::tree::Directory;
use super::unpack::{LayerFacts, unpack};
use super::view::View;

/// What came of an import.
#[derive(Debug)]
pub struct Imported {
    /// The image as it is in the store now.
    pub image: Image,
    /// How many of its layers were there already.
    pub shared: usize,
    /// Devices of its layers that don't exist in containers of it.
    pub devices_left_out: u64,
    /// Extended attributes of its files that are not kept.
    pub attributes_left_out: u64,
    /// Whether owners are kept. They need more than one id, and an ordinary user has no more.
    pub owners_kept: bool,
}

/// Imports the image at `path`, or the one called `reference` of many, as `name`, or as what it is called there. An image
/// that had the name loses it.
///
/// # Errors
/// What is wrong with the image or the store; the store is as before, then.
pub fn import(
    store: &Store,
    path: &Path,
    name: Option<ImageName>,
    reference: Option<&str>,
) -> Result<Imported, ImageError> {
    let source = Source::open(path)?;
    let resolved = resolve(&source, reference)?;
    let name = match name {
        Some(name) => name,
        None => own_name(path, resolved.name.as_deref())?,
    };
    let changing = store.change()?;
    let meter = Meter::half_of(changing.free()?);
    let mut new_layers: Vec<Digest> = Vec::new();
    let mut facts: Vec<LayerFacts> = Vec::new();
    for blob in &resolved.layers {
        if let Some(known) = changing.facts(&blob.diff_id) {
            facts.push(known);
        } else if new_layers.contains(&blob.diff_id) {
            facts.push(again(&resolved, &facts, blob));
        } else {
            facts.push(import_layer(&source, blob, &changing, &meter)?);
            new_layers.push(blob.diff_id.clone());
        }
    }
    let shared = resolved.layers.len() - new_layers.len();
    let mut image = describe(name, &resolved, &facts);
    if let Some(layer) = restore_directories(&changing, &image, &facts)? {
        image.stacked.push(layer.clone());
        if changing.facts(&layer).is_none() {
            new_layers.push(layer);
        }
    }
    changing.commit(&image, &new_layers)?;
    Ok(Imported {
        shared,
        devices_left_out: facts.iter().map(|facts| facts.devices_left_out).sum(),
        attributes_left_out: facts.iter().map(|facts| facts.attributes_left_out).sum(),
        owners_kept: store.ids().changes_user(),
        image,
    })
}

/// The facts of a layer that the same image has further down.
fn again(resolved: &Resolved, facts: &[LayerFacts], blob: &LayerBlob) -> LayerFacts {
    let earlier = resolved.layers.iter().zip(facts);
    let earlier = earlier.filter(|(layer, _)| layer.diff_id == blob.diff_id);
    earlier
        .map(|(_, facts)| facts.clone())
        .next()
        .unwrap_or_default()
}

/// What an image is called that was given no name: what it calls itself, or what its file is called and its tag.
fn own_name(path: &Path, own: Option<&str>) -> Result<ImageName, ImageError> {
    if let Some(own) = own.filter(|own| own.contains(['/', ':'])) {
        return ImageName::resembling(own);
    }
    let absolute = std::path::absolute(path).unwrap_or_default();
    let stem = absolute.file_stem().unwrap_or_default().to_string_lossy();
    ImageName::resembling(&match own {
        Some(tag) => format!("{stem}:{tag}"),
        None => stem.into_owned(),
    })
}

fn describe(name: ImageName, resolved: &Resolved, facts: &[LayerFacts]) -> Image {
    let layers: Vec<Digest> = resolved.layers.iter().map(|l| l.diff_id.clone()).collect();
    let hiding = layers
        .iter()
        .cloned()
        .zip(facts.iter().map(|f| f.hides_all_below));
    Image {
        name,
        id: resolved.id.clone(),
        created: resolved.config.created().clone(),
        bytes: facts.iter().map(|facts| facts.bytes).sum(),
        stacked: stacked(&hiding.collect::<Vec<_>>()),
        layers,
        config: resolved.config.config().clone(),
    }
}

/// Makes the layer that gives directories back their attributes, if `image` needs one.
fn restore_directories(
    changing: &Changing<'_>,
    image: &Image,
    facts: &[LayerFacts],
) -> Result<Option<Digest>, ImageError> {
    let roots: Vec<PathBuf> = image
        .stacked
        .iter()
        .map(|layer| changing.root_of(layer))
        .collect();
    let known: HashMap<&Digest, &LayerFacts> = image.layers.iter().zip(facts).collect();
    let highest_first = image
        .stacked
        .iter()
        .rev()
        .filter_map(|layer| known.get(layer));
    let facts: Vec<_> = highest_first.copied().collect();
    let failed = |errno: Errno| ImageError::Damaged {
        name: image.name.clone(),
        what: format!("its layers can't be read: {errno}"),
    };
    let view = View::open(roots.iter().map(PathBuf::as_path)).map_err(failed)?;
    let restored = implied::restored(&view, &facts).map_err(failed)?;
    if restored.is_empty() {
        return Ok(None);
    }
    let layer = implied::identity(&restored);
    if changing.facts(&layer).is_none() {
        let path = changing.new_layer(&layer)?;
        let ids = changing.store().ids();
        let made =
            Directory::open_root(&path).and_then(|root| implied::make(&restored, &root, ids));
        made.map_err(|errno| ImageError::store(&path)(errno.into()))?;
        changing.describe(&layer, &LayerFacts::default())?;
    }
    Ok(Some(layer))
}

/// Unpacks one layer, and checks that it is what the manifest and the configuration say.
fn import_layer(
    source: &Source,
    blob: &LayerBlob,
    changing: &Changing<'_>,
    meter: &Meter,
) -> Result<LayerFacts, ImageError> {
    let Some(file) = source.file(&blob.file)? else {
        return Err(ImageError::Missing {
            file: blob.file.clone(),
        });
    };
    let fault = |source| ImageError::Layer {
        layer: blob.diff_id.clone(),
        source,
    };
    let root = changing.new_layer(&blob.diff_id)?;
    let root =
        Directory::open_root(&root).map_err(|errno| ImageError::store(&root)(errno.into()))?;
    let mut packed = DigestReader::new(file);
    let unpacked = unpack_blob(&mut packed, blob, root, changing, meter);
    // If the file isn't what it should be, then that is why it can't be unpacked; but not if it is the disk.
    if !matches!(
        unpacked,
        Err(LayerFault::Write { .. } | LayerFault::TooMuch(_))
    ) && let Some(expected) = &blob.digest
    {
        let found = packed
            .finish()
            .map_err(|source| fault(LayerFault::Read { source }))?;
        differ(
            &format!("the file of the layer {}", blob.diff_id),
            expected,
            found,
        )?;
    }
    let (facts, plain) = unpacked.map_err(fault)?;
    differ("the unpacked layer", &blob.diff_id, plain)?;
    changing.describe(&blob.diff_id, &facts)?;
    Ok(facts)
}

fn differ(what: &str, expected: &Digest, found: Digest) -> Result<(), ImageError> {
    if *expected == found {
        return Ok(());
    }
    Err(ImageError::Mismatch {
        what: what.to_owned(),
        expected: expected.clone(),
        found,
    })
}

/// Unpacks a layer's file; what is known of it, and the digest of the archive in plain.
fn unpack_blob(
    packed: &mut impl Read,
    blob: &LayerBlob,
    root: Directory,
    changing: &Changing<'_>,
    meter: &Meter,
) -> Result<(LayerFacts, Digest), LayerFault> {
    let mut start = Vec::new();
    let read = packed.by_ref().take(4).read_to_end(&mut start);
    read.map_err(|source| LayerFault::Read { source })?;
    let compression = blob.compression.unwrap_or(Compression::of(&start));
    let whole = io::Cursor::new(start).chain(packed);
    let mut plain = DigestReader::new(compression.reader(whole));
    let ids = changing.store().ids();
    let facts = unpack(&mut plain, root, ids, meter).map_err(plainly)?;
    // After the archive's end come zeros at most, but as many as someone likes.
    let mut rest = MeteredReader::new(&mut plain, meter.clone());
    let drained = io::copy(&mut rest, &mut io::sink());
    drained.map_err(|source| plainly(LayerFault::Read { source }))?;
    let digest = plain
        .finish()
        .map_err(|source| LayerFault::Read { source })?;
    Ok((facts, digest))
}

/// Takes the end of an allowance out of the reading error that it came as.
fn plainly(fault: LayerFault) -> LayerFault {
    let too_much = match &fault {
        LayerFault::Read { source } | LayerFault::Archive(ArchiveFault::Read(source)) => source
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .copied(),
        _ => None,
    };
    too_much.map_or(fault, |too_much: TooMuch| too_much.into())
}
