//! Importing an image from a source into the store: everything, or nothing.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::image::archive::fault::ArchiveFault;
use crate::image::digest::{Digest, DigestReader};
use crate::image::error::ImageError;
use crate::image::layer::fault::LayerFault;
use crate::image::layer::meter::{Meter, MeteredReader, TooMuch};
use crate::image::layer::tree::Directory;
use crate::image::layer::unpack::{LayerFacts, unpack};
use crate::image::name::ImageName;
use crate::image::program::command::variables;
use crate::image::source::compression::decompressed;
use crate::image::source::files::Source;
use crate::image::source::manifest::resolve;
use crate::image::source::resolved::{LayerBlob, Resolved};
use crate::image::store::directory::{Store, StoreWriter};
use crate::image::store::disk::is_overlayfs;
use crate::image::store::record::{Image, stacked};
use crate::image::view::implied;
use crate::image::view::lookup::View;
use crate::image::view::own_layer::OwnLayer;
use crate::isolation::id_map::IdMap;

/// An imported image, and what of it was left out.
#[derive(Debug)]
pub struct Imported {
    /// The image as it is in the store now.
    pub image: Image,
    /// How many of the image's layers the store had already.
    pub shared: usize,
    /// How many devices of the layers do not exist in containers of the image.
    pub devices_left_out: u64,
    /// How many extended attributes of files are not kept.
    pub attributes_left_out: u64,
    /// How many entries of the environment have no value, so that programs don't get them.
    pub variables_left_out: u64,
    /// Directories of a layer that are a link in the layers below, and for which the layer has no
    /// entry of its own. Containers have the directory.
    pub over_links: Vec<PathBuf>,
    /// Of each layer that has some: how many files belong to another owner, because no container has
    /// the owner's id.
    pub owners_changed: Vec<(Digest, u64)>,
    /// Whether owners are kept. For an ordinary user, who has only one id, they are not.
    pub owners_kept: bool,
}

/// What an image gets that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Additions {
    /// Nothing.
    None,
    /// What engines make when they start a container.
    OfEngines,
}

/// Imports the image at `path` as it is. If `path` holds many images, the image called `reference`
/// is imported, or the one with this digest. The image gets the name `name`, or else the name that
/// it has at `path`. Another image of that name loses the name.
///
/// # Errors
/// Something is wrong with the image or the store. The store is as before.
pub fn import(
    store: &Store,
    path: &Path,
    name: Option<ImageName>,
    reference: Option<&str>,
) -> Result<Imported, ImageError> {
    import_with(store, path, name, reference, Additions::None)
}

/// Imports the image at `path` as [`import`] does, with what engines make when they start a
/// container: its working directory and `/etc/hosts`, if it lacks them.
///
/// # Errors
/// As [`import`].
pub fn import_for_containers(
    store: &Store,
    path: &Path,
    name: Option<ImageName>,
    reference: Option<&str>,
) -> Result<Imported, ImageError> {
    import_with(store, path, name, reference, Additions::OfEngines)
}

fn import_with(
    store: &Store,
    path: &Path,
    name: Option<ImageName>,
    reference: Option<&str>,
    additions: Additions,
) -> Result<Imported, ImageError> {
    let source = Source::open(path, || {
        let (file, free) = store.scratch()?;
        Ok((file, Meter::half_of(free)))
    })?;
    let resolved = resolve(&source, reference)?;
    let name = match name {
        Some(name) => name,
        None => own_name(path, resolved.name.as_deref())?,
    };
    let writer = store.writer()?;
    let meter = Meter::half_of(writer.free()?);
    let mut new_layers: Vec<Digest> = Vec::new();
    let mut facts: Vec<LayerFacts> = Vec::new();
    for blob in &resolved.layers {
        if let Some(known) = writer.facts(&blob.diff_id) {
            facts.push(known);
        } else if new_layers.contains(&blob.diff_id) {
            facts.push(facts_of_earlier(&resolved, &facts, blob));
        } else {
            facts.push(import_layer(&source, blob, &writer, &meter)?);
            new_layers.push(blob.diff_id.clone());
        }
    }
    let shared = resolved.layers.len() - new_layers.len();
    let mut image = describe(name, &resolved, &facts);
    let top = make_top(&writer, &image, &facts, additions)?;
    if let Some(layer) = top.layer {
        image.stacked.push(layer.clone());
        if writer.facts(&layer).is_none() {
            new_layers.push(layer);
        }
    }
    writer.commit(&image, &new_layers)?;
    Ok(Imported {
        shared,
        devices_left_out: facts.iter().map(|facts| facts.devices_left_out).sum(),
        attributes_left_out: facts.iter().map(|facts| facts.attributes_left_out).sum(),
        variables_left_out: variables(&resolved.config).1.len() as u64,
        over_links: top.over_links,
        owners_changed: owners_changed(&resolved, &facts),
        owners_kept: store.ids().changes_user(),
        image,
    })
}

/// The layers in which owners are changed, each once, and how often.
fn owners_changed(resolved: &Resolved, facts: &[LayerFacts]) -> Vec<(Digest, u64)> {
    let mut changed: Vec<(Digest, u64)> = Vec::new();
    for (layer, facts) in resolved.layers.iter().zip(facts) {
        let is_new = changed.iter().all(|(other, _)| *other != layer.diff_id);
        if facts.owners_changed > 0 && is_new {
            changed.push((layer.diff_id.clone(), facts.owners_changed));
        }
    }
    changed
}

/// The facts of a layer that the same image has further down.
fn facts_of_earlier(resolved: &Resolved, facts: &[LayerFacts], blob: &LayerBlob) -> LayerFacts {
    let earlier = resolved.layers.iter().zip(facts);
    let earlier = earlier.filter(|(layer, _)| layer.diff_id == blob.diff_id);
    earlier
        .map(|(_, facts)| facts.clone())
        .next()
        .unwrap_or_default()
}

/// The name of an image that was given none: the name that the image has in its source, or else the
/// name of its file with its tag.
fn own_name(path: &Path, own: Option<&str>) -> Result<ImageName, ImageError> {
    if let Some(own) = own.filter(|own| own.contains(['/', ':'])) {
        return Ok(ImageName::resembling(own)?);
    }
    let stem = stem(path);
    Ok(ImageName::resembling(&match own {
        Some(tag) => format!("{stem}:{tag}"),
        None => stem,
    })?)
}

/// The name of the file or directory `path` without what it says of its form. A pipe's name says
/// nothing of the image.
fn stem(path: &Path) -> String {
    let absolute = std::path::absolute(path).unwrap_or_default();
    if !absolute.is_file() && !absolute.is_dir() {
        return "image".to_owned();
    }
    let mut stem = absolute.file_name().unwrap_or_default().to_string_lossy();
    let is_compression = |end: &str| ["gz", "xz", "zst", "bz2"].contains(&end);
    if let Some((start, end)) = stem.clone().rsplit_once('.')
        && is_compression(end)
    {
        stem = start.to_owned().into();
    }
    match stem.rsplit_once('.') {
        Some((start, _)) if !start.is_empty() => start.to_owned(),
        _ => stem.into_owned(),
    }
}

/// The record of an image whose layers have these `facts`.
fn describe(name: ImageName, resolved: &Resolved, facts: &[LayerFacts]) -> Image {
    let layers: Vec<Digest> = resolved.layers.iter().map(|l| l.diff_id.clone()).collect();
    let hiding = layers
        .iter()
        .cloned()
        .zip(facts.iter().map(|f| f.hides_all_below));
    Image {
        name,
        id: resolved.id.clone(),
        created: resolved.created.clone(),
        bytes: facts.iter().map(|facts| facts.bytes).sum(),
        stacked: stacked(&hiding.collect::<Vec<_>>()),
        layers,
        config: Some(resolved.config.clone()),
    }
}

/// What stands on top of an image's own layers.
struct Top {
    /// The layer, if the image needs one.
    layer: Option<Digest>,
    /// Directories of a layer where the layers below have a link.
    over_links: Vec<PathBuf>,
}

/// Makes the layer on top of `image`, if the image needs one.
fn make_top(
    writer: &StoreWriter<'_>,
    image: &Image,
    facts: &[LayerFacts],
    additions: Additions,
) -> Result<Top, ImageError> {
    let roots: Vec<PathBuf> = image
        .stacked
        .iter()
        .map(|layer| writer.root_of(layer))
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
        what: format!("its layers cannot be read: {errno}"),
    };
    let view = View::open(roots.iter().map(PathBuf::as_path)).map_err(failed)?;
    let over_links = implied::over_links(&view, &facts).map_err(failed)?;
    let over_links = over_links
        .iter()
        .map(|path| Path::new("/").join(path.as_path()));
    let mut own = OwnLayer::of(&view, &facts).map_err(failed)?;
    if additions == Additions::OfEngines {
        let config = image.config.as_ref();
        let directory = config.and_then(|config| config.working_dir().as_deref());
        let (directory, ids) = (directory.unwrap_or_default(), writer.store().ids());
        let added = own.add_what_engines_make(&view, &facts, directory, ids);
        added.map_err(failed)?;
    }
    Ok(Top {
        layer: put(writer, &own)?,
        over_links: over_links.collect(),
    })
}

/// Puts isobench's own layer into the store, unless it is empty.
fn put(writer: &StoreWriter<'_>, own: &OwnLayer) -> Result<Option<Digest>, ImageError> {
    if own.is_empty() {
        return Ok(None);
    }
    let layer = own.identity();
    if writer.facts(&layer).is_none() {
        let path = writer.new_layer(&layer)?;
        let ids = writer.store().ids();
        let made = Directory::open_root(&path).and_then(|root| own.make(&root, ids));
        made.map_err(|errno| ImageError::store(&path)(errno.into()))?;
        writer.describe(&layer, &LayerFacts::default())?;
    }
    Ok(Some(layer))
}

/// Unpacks one layer, and checks the digests that the manifest and the configuration have for it.
fn import_layer(
    source: &Source,
    blob: &LayerBlob,
    writer: &StoreWriter<'_>,
    meter: &Meter,
) -> Result<LayerFacts, ImageError> {
    let name = &blob.file.name;
    let Some(file) = source.file(name)? else {
        return Err(ImageError::Missing { file: name.clone() });
    };
    let fault = |source| ImageError::Layer {
        layer: blob.diff_id.clone(),
        source,
    };
    let root = writer.new_layer(&blob.diff_id)?;
    let root =
        Directory::open_root(&root).map_err(|errno| ImageError::store(&root)(errno.into()))?;
    let mut packed = DigestReader::new(file);
    let unpacked = unpack_blob(&mut packed, root, writer.store().ids(), meter);
    // A file with the wrong digest is a better reason for a failure than what is wrong in the file.
    // If the disk is the reason, the digest does not matter.
    if !matches!(
        unpacked,
        Err(LayerFault::Write { .. } | LayerFault::TooMuch(_))
    ) && let Some(expected) = &blob.file.digest
    {
        let found = packed
            .finish()
            .map_err(|source| fault(LayerFault::Read { source }))?;
        check(
            &format!("the file of the layer {}", blob.diff_id),
            expected,
            found,
        )?;
    }
    let (facts, plain) = unpacked.map_err(|fault| match fault {
        LayerFault::Hide { .. } if is_overlayfs(writer.store().path()) => {
            ImageError::StoreOnOverlayfs {
                path: writer.store().path().to_owned(),
            }
        }
        source => ImageError::Layer {
            layer: blob.diff_id.clone(),
            source,
        },
    })?;
    check("the unpacked layer", &blob.diff_id, plain)?;
    writer.describe(&blob.diff_id, &facts)?;
    Ok(facts)
}

/// Checks that `what` has the digest that it should have.
fn check(what: &str, expected: &Digest, found: Digest) -> Result<(), ImageError> {
    if *expected == found {
        return Ok(());
    }
    Err(ImageError::Mismatch {
        what: what.to_owned(),
        expected: expected.clone(),
        found,
    })
}

/// Unpacks a layer's file into `root`. Gives the facts of the layer, and the digest of the
/// decompressed archive.
fn unpack_blob(
    packed: &mut impl Read,
    root: Directory,
    ids: IdMap,
    meter: &Meter,
) -> Result<(LayerFacts, Digest), LayerFault> {
    // What a media type says of the compression is often wrong. No tar archive begins as a
    // compressed file does.
    let plain = decompressed(packed).map_err(|source| LayerFault::Read { source })?;
    let mut plain = DigestReader::new(plain);
    let facts = unpack(&mut plain, root, ids, meter).map_err(unwrap_too_much)?;
    // After the archive's end there should be zeros only, but an attacker may have put any number
    // of bytes there.
    let mut rest = MeteredReader::new(&mut plain, meter.clone());
    let drained = io::copy(&mut rest, &mut io::sink());
    drained.map_err(|source| unwrap_too_much(LayerFault::Read { source }))?;
    let digest = plain
        .finish()
        .map_err(|source| LayerFault::Read { source })?;
    Ok((facts, digest))
}

/// A reader reports the end of an allowance as a reading error. Takes it out of such an error.
fn unwrap_too_much(fault: LayerFault) -> LayerFault {
    let too_much = match &fault {
        LayerFault::Read { source } | LayerFault::Archive(ArchiveFault::Read(source)) => source
            .get_ref()
            .and_then(|inner| inner.downcast_ref())
            .copied(),
        _ => None,
    };
    too_much.map_or(fault, |too_much: TooMuch| too_much.into())
}
