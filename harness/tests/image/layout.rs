//! Images of our own making: OCI layouts and `docker save` archives, right or wrong on purpose.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::write::GzEncoder;
use isobench_container::image::Digest;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A layer's archive, while it is being written.
pub struct Layer {
    builder: Builder<Vec<u8>>,
    /// The user and the group that the next members belong to.
    owner: u64,
}

impl Layer {
    pub fn new() -> Self {
        let builder = Builder::new(Vec::new());
        Self { builder, owner: 0 }
    }

    /// Gives the members that follow to the user and the group with this id.
    pub fn owned(mut self, owner: u64) -> Self {
        self.owner = owner;
        self
    }

    /// Adds a member, even one whose name is forbidden.
    pub fn add(
        mut self,
        name: &str,
        kind: EntryType,
        link: &str,
        mode: u32,
        content: &[u8],
    ) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_000_000_000);
        header.set_uid(self.owner);
        header.set_gid(self.owner);
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
        self
    }

    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.add(name, EntryType::Regular, "", 0o644, content)
    }

    pub fn program(self, name: &str, path: &str) -> Self {
        self.add(
            name,
            EntryType::Regular,
            "",
            0o755,
            &fs::read(path).unwrap(),
        )
    }

    pub fn link(self, name: &str, content: &str) -> Self {
        self.add(name, EntryType::Symlink, content, 0o777, b"")
    }

    pub fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

/// A layer's file in a layout.
pub struct Blob {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub diff_id: String,
}

/// An image, while it is being made.
pub struct Image {
    pub layers: Vec<Blob>,
    /// The member `config` of the image's configuration.
    pub config: Value,
    pub architecture: &'static str,
}

pub fn digest(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

impl Image {
    pub fn new() -> Self {
        Self {
            layers: Vec::new(),
            config: json!({}),
            architecture: "amd64",
        }
    }

    /// An image with the workload as `/bin/workload`.
    pub fn with_workload() -> Self {
        Self::new().plain(Layer::new().program("bin/workload", crate::support::isobench::WORKLOAD))
    }

    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    pub fn blob(mut self, bytes: Vec<u8>, suffix: &str, plain: &[u8]) -> Self {
        self.layers.push(Blob {
            bytes,
            media_type: format!("{LAYER}{suffix}"),
            diff_id: digest(plain),
        });
        self
    }

    pub fn plain(self, layer: Layer) -> Self {
        let bytes = layer.bytes();
        self.blob(bytes.clone(), "", &bytes)
    }

    pub fn gzip(self, layer: Layer) -> Self {
        let bytes = layer.bytes();
        self.blob(gzip(&bytes), "+gzip", &bytes)
    }

    pub fn zstd(self, layer: Layer) -> Self {
        let bytes = layer.bytes();
        let packed = compress_to_vec(&bytes[..], CompressionLevel::Fastest);
        self.blob(packed, "+zstd", &bytes)
    }

    fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| &layer.diff_id).collect();
        let configuration = json!({
            "architecture": self.architecture,
            "os": "linux",
            "created": "2024-05-06T07:08:09Z",
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        serde_json::to_vec(&configuration).unwrap()
    }

    /// Writes the image's files into the layout at `path`, and gives its manifest's descriptor.
    pub fn write_blobs(&self, path: &Path) -> Value {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let write = |bytes: &[u8], media_type: &str| {
            let digest = digest(bytes);
            fs::write(path.join("blobs/sha256").join(&digest[7..]), bytes).unwrap();
            json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
        };
        let layers = self
            .layers
            .iter()
            .map(|layer| write(&layer.bytes, &layer.media_type));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "layers": layers.collect::<Vec<_>>(),
            "config": write(&self.configuration(), CONFIG),
        });
        write(&serde_json::to_vec(&manifest).unwrap(), MANIFEST)
    }

    /// Writes an OCI layout with this image alone.
    pub fn write(&self, path: &Path) {
        let manifest = self.write_blobs(path);
        write_index(path, &[manifest]);
    }

    /// The archive that `docker save` wrote before it knew OCI layouts. The second of two equal
    /// layers is a link to the first.
    pub fn docker_save(&self, tag: &str) -> Vec<u8> {
        let mut archive = Layer::new();
        let mut names: Vec<String> = Vec::new();
        for (number, layer) in self.layers.iter().enumerate() {
            let name = format!("{number}/layer.tar");
            let earlier = self.layers[..number]
                .iter()
                .position(|l| l.diff_id == layer.diff_id);
            archive = match earlier {
                Some(earlier) => archive.link(&name, &format!("../{earlier}/layer.tar")),
                None => archive.file(&name, &layer.bytes),
            };
            names.push(name);
        }
        let configuration = self.configuration();
        let config = format!("{}.json", &digest(&configuration)[7..]);
        let manifest = json!([{"Config": config, "RepoTags": [tag], "Layers": names}]);
        // A header has 100 bytes for these names of 64 digits.
        archive
            .file(&config, &configuration)
            .file("manifest.json", &serde_json::to_vec(&manifest).unwrap())
            .bytes()
    }
}

pub fn write_index(path: &Path, manifests: &[Value]) {
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    fs::write(path.join("index.json"), serde_json::to_vec(&index).unwrap()).unwrap();
}

/// `descriptor` with the tag `tag`.
pub fn tagged(mut descriptor: Value, tag: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    descriptor
}
