//! A directory of the host as an image: the copy that becomes a root, with the owners that its
//! files have inside.
//!
//! The directory is packed as an image of one layer (the OCI image layout,
//! <https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>) and imported like
//! any image. So the files' owners, devices and attributes are treated alike.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// Packs `root` as an image layout in the new directory `layout`.
///
/// # Errors
/// A file can't be read, or the layout can't be written.
pub fn pack(root: &Path, layout: &Path) -> io::Result<()> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let layer = pack_layer(root, &blobs)?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": [layer.digest] },
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": write_json(&blobs, &config)?.descriptor(CONFIG),
        "layers": [layer.descriptor(LAYER)],
    });
    let index = json!({
        "schemaVersion": 2,
        "manifests": [write_json(&blobs, &manifest)?.descriptor(MANIFEST)],
    });
    fs::write(layout.join("index.json"), index.to_string())?;
    let version = json!({ "imageLayoutVersion": "1.0.0" });
    fs::write(layout.join("oci-layout"), version.to_string())
}

/// A blob of the layout.
struct Blob {
    /// The digest, as `sha256:HEX`.
    digest: String,
    /// The size in bytes.
    size: u64,
}

impl Blob {
    fn descriptor(&self, media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": self.digest, "size": self.size })
    }
}

/// Packs `root` as a layer, and gives the file the name of its digest.
fn pack_layer(root: &Path, blobs: &Path) -> io::Result<Blob> {
    let temporary = blobs.join("layer");
    let file = BufWriter::new(File::create_new(&temporary)?);
    let mut archive = tar::Builder::new(Digested::new(file));
    archive.follow_symlinks(false);
    // GNU's sparse members are a format that importers refuse.
    archive.sparse(false);
    archive.append_dir_all(".", root)?;
    let mut digested = archive.into_inner()?;
    digested.inner.flush()?;
    let blob = digested.blob();
    fs::rename(&temporary, blobs.join(hex_of(&blob)))?;
    Ok(blob)
}

fn write_json(blobs: &Path, value: &Value) -> io::Result<Blob> {
    let mut digested = Digested::new(Vec::new());
    digested.write_all(value.to_string().as_bytes())?;
    let blob = digested.blob();
    fs::write(blobs.join(hex_of(&blob)), digested.inner)?;
    Ok(blob)
}

fn hex_of(blob: &Blob) -> &str {
    blob.digest.trim_start_matches("sha256:")
}

/// A writer that digests what it writes.
struct Digested<W> {
    inner: W,
    hasher: Sha256,
    size: u64,
}

impl<W: Write> Digested<W> {
    fn new(inner: W) -> Self {
        let hasher = Sha256::new();
        Self {
            inner,
            hasher,
            size: 0,
        }
    }

    fn blob(&self) -> Blob {
        let digest = self.hasher.clone().finalize();
        let hex = digest.iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string can't fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Blob {
            digest: format!("sha256:{hex}"),
            size: self.size,
        }
    }
}

impl<W: Write> Write for Digested<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use isobench_container::image::{Store, import};

    use super::*;

    #[test]
    fn a_packed_directory_is_imported_with_its_files() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("bin")).unwrap();
        fs::write(root.join("bin/tool"), "x").unwrap();
        symlink("bin/tool", root.join("link")).unwrap();
        let layout = scratch.path().join("layout");
        pack(&root, &layout).unwrap();
        let store = Store::open(&scratch.path().join("store")).unwrap();
        let name = "root".parse().unwrap();
        let imported = import(&store, &layout, Some(name), None).unwrap();
        let layers = store.hold(&imported.image).unwrap();
        let layer = layers.paths.last().unwrap();
        assert_eq!(fs::read_to_string(layer.join("bin/tool")).unwrap(), "x");
        assert_eq!(
            fs::read_link(layer.join("link")).unwrap(),
            Path::new("bin/tool")
        );
    }
}
