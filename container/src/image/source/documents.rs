//! The JSON documents of an image: indexes, manifests and configurations.
//!
//! Only what is used is read, and what may be left out may be left out. So builders that forget a
//! field, or add one of their own, are no trouble.

use std::collections::HashMap;

use oci_spec::image::Config;
use serde::Deserialize;

/// The media types of configurations of images.
pub const CONFIGURATIONS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];
/// The media types of manifests.
pub const MANIFESTS: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
/// The media types of indexes.
pub const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// An index of manifests and of further indexes.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Index {
    /// What the index leads to.
    pub manifests: Vec<Descriptor>,
}

/// A manifest.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Option<Vec<Descriptor>>,
}

/// A file, and what is said of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Descriptor {
    /// What the file holds. Empty if nothing is said of it.
    pub media_type: String,
    /// The digest of the file.
    pub digest: String,
    /// What a manifest is of, if it isn't of an image.
    pub artifact_type: Option<String>,
    /// The machines that a manifest is for.
    pub platform: Option<Platform>,
    /// Names, among others.
    pub annotations: Option<HashMap<String, String>>,
}

/// A kind of machines.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// The processor.
    pub architecture: Option<String>,
    /// The kernel.
    pub os: Option<String>,
    /// The processor's version.
    pub variant: Option<String>,
}

/// An image's configuration as a builder writes it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Configuration {
    /// The machines that the image is for.
    #[serde(flatten)]
    pub platform: Platform,
    /// When the image was made.
    pub created: Option<String>,
    config: Option<Run>,
    rootfs: Option<RootFs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

/// How programs of an image are run.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Run {
    user: Option<String>,
    env: Option<Vec<String>>,
    entrypoint: Option<Words>,
    cmd: Option<Words>,
    working_dir: Option<String>,
}

/// A command. Old versions of docker wrote one word as a text.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

impl Configuration {
    /// The digests of the decompressed layers, lowest first.
    pub fn diff_ids(&self) -> &[String] {
        let rootfs = self.rootfs.as_ref();
        rootfs
            .and_then(|rootfs| rootfs.diff_ids.as_deref())
            .unwrap_or_default()
    }

    /// How programs of the image are run.
    pub fn into_config(self) -> Config {
        let run = self.config.unwrap_or_default();
        let words = |words| match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        };
        let mut config = Config::default();
        config
            .set_user(run.user)
            .set_env(run.env)
            .set_entrypoint(run.entrypoint.map(words))
            .set_cmd(run.cmd.map(words))
            .set_working_dir(run.working_dir);
        config
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_configuration_may_leave_out_almost_everything() {
        for text in [
            "{}",
            r#"{"config": null, "rootfs": null, "architecture": null, "os": ""}"#,
            r#"{"rootfs": {"diff_ids": null}, "config": {"Env": null, "Cmd": null}}"#,
            r#"{"rootfs": {"type": 3}, "config": {"ExposedPorts": ["80"], "Labels": 7}}"#,
        ] {
            let configuration: Configuration = serde_json::from_str(text).unwrap();
            assert_eq!(configuration.diff_ids(), [""; 0], "{text}");
            assert_eq!(configuration.into_config(), Config::default(), "{text}");
        }
    }

    #[test]
    fn a_command_is_a_list_or_one_word() {
        let text =
            r#"{"config": {"Entrypoint": "/a b", "Cmd": ["c"]}, "rootfs": {"diff_ids": ["d"]}}"#;
        let configuration: Configuration = serde_json::from_str(text).unwrap();
        assert_eq!(configuration.diff_ids(), ["d"]);
        let config = configuration.into_config();
        assert_eq!(
            config.entrypoint().as_deref(),
            Some(&["/a b".to_owned()][..])
        );
        assert_eq!(config.cmd().as_deref(), Some(&["c".to_owned()][..]));
    }

    proptest! {
        #[test]
        fn any_text_is_a_document_or_refused(text in "[\\[\\]{}:,\"a-z0-9]{0,40}") {
            let _ = serde_json::from_str::<Index>(&text);
            let _ = serde_json::from_str::<Manifest>(&text);
            let _ = serde_json::from_str::<Configuration>(&text);
        }
    }
}
