//! The settings of one timed command. The command line and a workload file have the same ones.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use isobench_container::cgroup::Cpus;
use isobench_container::{Network, parse_size};
use serde::{Deserialize, Deserializer};

use super::ready::ReadyCondition;
use crate::values::parse_time;

/// The settings of one timed command. A setting that isn't given has its default.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The command's name. Only a workload file names commands.
    #[arg(skip)]
    pub name: Option<String>,
    /// The program and its arguments. On the command line they stand after `--`.
    #[arg(skip)]
    pub command: Vec<String>,
    /// Run a program of this image, which `isobench image import` brought
    #[arg(long, value_name = "NAME", conflicts_with = "root")]
    pub image: Option<String>,
    /// Run a program in a copy of this directory, which becomes the root
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// When the program is ready: exit, line, line=REGEX, tcp=PORT or http=PORT/PATH (the first
    /// status of 200 to 299) [default: exit]
    #[arg(long, value_name = "CONDITION")]
    #[serde(deserialize_with = "from_text")]
    pub ready: Option<ReadyCondition>,
    /// Stop the program once it is ready, rather than wait for its end; always so with tcp and http
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub stop: Option<bool>,
    /// How long one run may take before it counts as failed [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    #[serde(deserialize_with = "time")]
    pub timeout: Option<Duration>,
    /// File that the program reads as its standard input [default: none]
    #[arg(long, value_name = "FILE")]
    pub input: Option<PathBuf>,
    /// Variable of the program's environment; may be repeated
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_variable)]
    #[serde(rename = "env", deserialize_with = "variables")]
    pub environment: Vec<OsString>,
    /// Directory in which the program starts [default: the image's, or /]
    #[arg(long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// User and group that the program runs as, numbers or names of the image [default: the image's]
    #[arg(long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Memory that the program may use, such as 64M: K, M, G and T are powers of 1024, as for docker and
    /// systemd, KB to TB powers of 1000; targets that can't limit memory take no part
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    #[serde(deserialize_with = "size")]
    pub memory: Option<ByteSize>,
    /// Processor time that the program may use, in processors, such as 0.5; only `container` has
    /// such a limit
    #[arg(long, value_name = "N")]
    #[serde(deserialize_with = "from_text")]
    pub cpus: Option<Cpus>,
    /// The program's network: none, loopback, veth or host [default: what each target has; for tcp
    /// and http one that can be reached]
    #[arg(long, value_name = "NETWORK")]
    #[serde(deserialize_with = "from_text")]
    pub net: Option<Network>,
    /// Command of the host's shell that runs before each run, untimed
    #[arg(long, value_name = "COMMAND")]
    pub prepare: Option<String>,
    /// Count runs with an exit code other than 0, too
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub keep_going: Option<bool>,
    /// Runs on each target that don't count [default: 1]
    #[arg(long, value_name = "N")]
    pub warmup: Option<u32>,
    /// Runs on each target that count [default: 60, or as many as take 10 s]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub runs: Option<u32>,
}

impl Settings {
    /// These settings, and those of `defaults` where these have none.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        // An image of its own replaces a root of the defaults, and the other way round.
        let has_root = self.image.is_some() || self.root.is_some();
        let (image, root) = if has_root {
            (self.image, self.root)
        } else {
            (defaults.image.clone(), defaults.root.clone())
        };
        let mut environment = defaults.environment.clone();
        environment.extend(self.environment);
        Self {
            name: self.name,
            command: self.command,
            image,
            root,
            ready: self.ready.or_else(|| defaults.ready.clone()),
            stop: self.stop.or(defaults.stop),
            timeout: self.timeout.or(defaults.timeout),
            input: self.input.or_else(|| defaults.input.clone()),
            environment,
            workdir: self.workdir.or_else(|| defaults.workdir.clone()),
            user: self.user.or_else(|| defaults.user.clone()),
            memory: self.memory.or(defaults.memory),
            cpus: self.cpus.or(defaults.cpus),
            net: self.net.or(defaults.net),
            prepare: self.prepare.or_else(|| defaults.prepare.clone()),
            keep_going: self.keep_going.or(defaults.keep_going),
            warmup: self.warmup.or(defaults.warmup),
            runs: self.runs.or(defaults.runs),
        }
    }
}

/// Parses `KEY=VALUE`.
///
/// # Errors
/// The text says what is expected.
pub fn parse_variable(text: &str) -> Result<OsString, String> {
    match text.split_once('=') {
        Some((name, _)) if !name.is_empty() => Ok(text.into()),
        _ => Err("expected KEY=VALUE, with a name before the `=`".to_owned()),
    }
}

/// Reads a size, which is a text or a number of bytes.
fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected a size such as \"64M\", or a number of bytes"
    )]
    enum Size {
        Bytes(u64),
        Text(String),
    }
    match Size::deserialize(deserializer)? {
        Size::Bytes(bytes) => Ok(Some(ByteSize(bytes))),
        Size::Text(text) => parse_size(&text)
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}

/// Reads a value that is written as a text.
fn from_text<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: Display>,
{
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(serde::de::Error::custom)
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_time(&text)
        .map(Some)
        .map_err(serde::de::Error::custom)
}

/// Reads a table of variables as a list of `KEY=VALUE`.
fn variables<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<OsString>, D::Error> {
    let table = BTreeMap::<String, String>::deserialize(deserializer)?;
    let texts = table
        .into_iter()
        .map(|(key, value)| format!("{key}={value}"));
    texts
        .map(|text| parse_variable(&text).map_err(serde::de::Error::custom))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_needs_a_name() {
        assert!(parse_variable("A=").is_ok());
        assert!(parse_variable("=a").is_err());
        assert!(parse_variable("a").is_err());
    }

    #[test]
    fn a_size_is_a_text_or_a_number_of_bytes() {
        for (text, size) in [
            ("memory = \"64M\"", ByteSize::mib(64)),
            ("memory = \"64MB\"", ByteSize::mb(64)),
            ("memory = 4096", ByteSize::kib(4)),
        ] {
            let settings: Settings = toml::from_str(text).unwrap();
            assert_eq!(settings.memory, Some(size), "{text}");
        }
        let error = toml::from_str::<Settings>("memory = \"64X\"").unwrap_err();
        assert!(error.to_string().contains("such as 64M"), "{error}");
    }

    #[test]
    fn own_settings_go_before_defaults_and_variables_add_up() {
        let defaults: Settings = toml::from_str(
            "image = \"base\"\nruns = 5\nready = \"line\"\nenv = { A = \"1\", B = \"2\" }",
        )
        .unwrap();
        let own: Settings =
            toml::from_str("root = \"dir\"\nruns = 7\nenv = { B = \"3\" }").unwrap();
        let both = own.or(&defaults);
        assert_eq!((both.image, both.runs), (None, Some(7)));
        assert_eq!(both.root.unwrap(), PathBuf::from("dir"));
        assert_eq!(both.ready.unwrap().to_string(), "line");
        assert_eq!(both.environment, ["A=1", "B=2", "B=3"]);
    }
}
